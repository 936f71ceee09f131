-- Churn rate by international and voice mail plan.
SELECT
    intl_plan,
    vmail_plan,
    count(*) AS rows,
    avg(CAST(churn AS double)) AS churn_rate
FROM {{ ti.xcom_pull(task_ids='prepare.plan', key='table') }}
GROUP BY intl_plan, vmail_plan
ORDER BY intl_plan, vmail_plan

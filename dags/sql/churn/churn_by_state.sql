-- Churn rate by state.
SELECT
    state,
    count(*) AS rows,
    avg(CAST(churn AS double)) AS churn_rate
FROM {{ ti.xcom_pull(task_ids='prepare.plan', key='table') }}
GROUP BY state
ORDER BY state

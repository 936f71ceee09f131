-- Churn rate by number of calls to customer service.
SELECT
    custserv_calls,
    count(*) AS rows,
    avg(CAST(churn AS double)) AS churn_rate
FROM {{ ti.xcom_pull(task_ids='prepare.plan', key='table') }}
GROUP BY custserv_calls
ORDER BY custserv_calls

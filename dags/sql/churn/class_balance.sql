-- Rows, churners and their share.
SELECT
    count(*) AS rows,
    sum(churn) AS churners,
    avg(CAST(churn AS double)) AS churn_rate
FROM {{ ti.xcom_pull(task_ids='prepare.plan', key='table') }}

-- What became of the batch: events and rewards by outcome, by reason of refusal, and by arm.
{% set plan = ti.xcom_pull(task_ids=plan_task) -%}
SELECT
    outcome,
    coalesce(reason, '') AS reason,
    reward_source,
    CASE WHEN outcome IN ('train', 'evaluation') THEN action ELSE '' END AS action,
    count(*) AS events,
    sum(reward) AS reward
FROM {{ plan.tables.joined }}
WHERE join_id = '{{ plan.join_id }}'
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4

-- The hours that the rewards of this batch belong to, and the observations that arrived late since the last one.
{% from "macros.jinja" import hour_of, texts -%}
{% set plan = ti.xcom_pull(task_ids=plan_task) -%}
WITH sent AS (
    SELECT event_id FROM {{ plan.tables.rewards }} WHERE join_id = '{{ plan.join_id }}'
    {%- if plan.last_join %}
    UNION ALL
    SELECT event_id FROM {{ plan.tables.joined }} WHERE join_id = '{{ plan.last_join }}' AND outcome = 'unmatched'
    {%- endif %}
), arrived AS (
    SELECT
        dt,
        {{ hour_of("event_id") }} AS hour,
        {{ hour_of("event_id", 3600) }} AS next_hour
    FROM {{ plan.tables.observations }}
    WHERE dt IN {{ texts(plan.arrivals) }}
)
SELECT 'reward' AS kind, hour, CAST(NULL AS varchar) AS arrived, count(*) AS events
FROM (SELECT {{ hour_of("event_id") }} AS hour FROM sent)
GROUP BY hour
UNION ALL
SELECT 'straggler', hour, dt, count(*)
FROM arrived
WHERE hour IS NOT NULL AND dt <> hour AND dt <> next_hour
GROUP BY hour, dt

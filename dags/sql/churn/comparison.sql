-- Size, churn rate and the mean of every number: this run's data beside the previous run's.
{% set means = ["churn", "account_length", "vmail_message", "day_mins", "day_calls", "eve_mins", "eve_calls",
    "night_mins", "night_calls", "intl_mins", "intl_calls", "custserv_calls"] -%}
WITH
{% for run, table in [("current_run", "table"), ("previous_run", "previous_table")] -%}
{{ run }} AS (
    SELECT
        CAST(count(*) AS double) AS row_count
        {%- for column in means %},
        avg(CAST({{ column }} AS double)) AS mean_{{ column }}
        {%- endfor %}
    FROM {{ ti.xcom_pull(task_ids='prepare.plan', key=table) }}
){% if not loop.last %},{% endif %}
{% endfor -%}
SELECT 'rows' AS statistic, c.row_count AS "current", p.row_count AS "previous"
FROM current_run c CROSS JOIN previous_run p
{%- for column in means %}
UNION ALL
SELECT '{{ "churn_rate" if column == "churn" else "mean " + column }}', c.mean_{{ column }}, p.mean_{{ column }}
FROM current_run c CROSS JOIN previous_run p
{%- endfor %}

-- Share of missing values of every column.
{% set table = ti.xcom_pull(task_ids='prepare.plan', key='table') -%}
{% set columns = ["account_length", "vmail_message", "day_mins", "day_calls", "eve_mins", "eve_calls", "night_mins",
    "night_calls", "intl_mins", "intl_calls", "custserv_calls", "state", "area_code", "intl_plan", "vmail_plan"] -%}
{% for column in columns -%}
SELECT
    '{{ column }}' AS column_name,
    1 - CAST(count({{ column }}) AS double) / count(*) AS missing_share
FROM {{ table }}
{% if not loop.last %}UNION ALL
{% endif %}
{%- endfor %}

-- Range and mean of every number.
{% set table = ti.xcom_pull(task_ids='prepare.plan', key='table') -%}
{% set columns = ["account_length", "vmail_message", "day_mins", "day_calls", "eve_mins", "eve_calls", "night_mins",
    "night_calls", "intl_mins", "intl_calls", "custserv_calls"] -%}
{% for column in columns -%}
SELECT
    '{{ column }}' AS column_name,
    CAST(min({{ column }}) AS double) AS minimum,
    CAST(max({{ column }}) AS double) AS maximum,
    avg(CAST({{ column }} AS double)) AS mean
FROM {{ table }}
{% if not loop.last %}UNION ALL
{% endif %}
{%- endfor %}

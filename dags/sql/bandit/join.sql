-- Every reward of this batch beside its observation, and what becomes of it: one row each, in one outcome.
{% from "macros.jinja" import texts -%}
{% set plan = ti.xcom_pull(task_ids=plan_task) -%}
{% set scope = ti.xcom_pull(task_ids="batch.scope") -%}
INSERT INTO {{ plan.tables.joined }}
WITH observed AS (  -- one row an event: Firehose delivers at least once
    SELECT
        event_id,
        arbitrary(action) AS action,
        arbitrary(action_prob) AS action_prob,
        arbitrary(model_id) AS model_id,
        arbitrary(observation) AS observation,
        arbitrary(arms) AS arms,
        arbitrary(sample_prob) AS sample_prob,
        min("timestamp") AS observed_at,
        arbitrary(probabilities) AS probabilities
    FROM {{ plan.tables.observations }}
    WHERE dt IN {{ texts(scope.hours) }} AND event_id IS NOT NULL
    GROUP BY event_id
), settled AS (  -- what earlier joins have used
    SELECT event_id, arbitrary(reward) AS reward, arbitrary(reward_source) AS reward_source
    FROM {{ plan.tables.joined }}
    WHERE join_id IN {{ texts(scope.earlier) }} AND outcome IN ('train', 'evaluation')
    GROUP BY event_id
), sent AS (
    SELECT event_id, reward, "timestamp" AS rewarded_at
    FROM {{ plan.tables.rewards }}
    WHERE join_id = '{{ plan.join_id }}'
    {%- if plan.last_join %}
    UNION ALL
    SELECT event_id, reward, rewarded_at
    FROM {{ plan.tables.joined }}
    WHERE join_id = '{{ plan.last_join }}' AND outcome = 'unmatched'
    {%- endif %}
), checked AS (
    SELECT
        event_id,
        reward,
        coalesce(rewarded_at, {{ plan.as_of }}) AS rewarded_at,
        CASE
            WHEN event_id IS NULL OR event_id = '' THEN 'no event id'
            WHEN reward IS NULL OR is_nan(reward) THEN 'the reward is no number'
            WHEN reward < {{ plan.reward_low }} OR reward > {{ plan.reward_high }}
                THEN 'the reward is outside [{{ plan.reward_low }}, {{ plan.reward_high }}]'
        END AS reason
    FROM sent
), placed AS (  -- the first reward of an event counts; of those sent at once, the lowest
    SELECT
        *,
        row_number() OVER (PARTITION BY event_id, reason ORDER BY rewarded_at, reward) AS place,
        first_value(reward) OVER (PARTITION BY event_id, reason ORDER BY rewarded_at, reward) AS first_reward
    FROM checked
), given AS (
    SELECT
        p.event_id, o.action, o.action_prob, o.model_id, o.observation, o.arms, o.sample_prob,
        o.observed_at, o.probabilities, p.reward, p.rewarded_at, 'given' AS reward_source,
        CASE
            WHEN p.reason IS NOT NULL THEN p.reason
            WHEN o.event_id IS NULL THEN NULL
            WHEN o.action IS NULL OR o.observation IS NULL THEN 'the observation is incomplete'
            WHEN o.action_prob IS NULL OR NOT (o.action_prob > 0 AND o.action_prob <= 1)
                THEN 'the action probability is outside (0, 1]'
            WHEN o.sample_prob IS NULL OR NOT (o.sample_prob >= 0 AND o.sample_prob <= 1)
                THEN 'the sample probability is outside [0, 1]'
            WHEN o.observed_at > {{ plan.as_of }} + 3600 THEN 'the observation is from the future'
        END AS reason,
        CASE
            WHEN p.reason IS NOT NULL THEN 'refused'
            WHEN s.event_id IS NOT NULL AND s.reward_source = 'default' THEN 'late'
            WHEN s.event_id IS NOT NULL AND s.reward = p.reward THEN 'duplicate'
            WHEN s.event_id IS NOT NULL THEN 'conflict'
            WHEN p.place > 1 AND p.reward = p.first_reward THEN 'duplicate'
            WHEN p.place > 1 THEN 'conflict'
            WHEN o.event_id IS NULL AND p.rewarded_at < {{ plan.as_of }} - {{ plan.late_seconds }} THEN 'unknown'
            WHEN o.event_id IS NULL THEN 'unmatched'
        END AS fate
    FROM placed p
    LEFT JOIN settled s ON s.event_id = p.event_id
    LEFT JOIN observed o ON o.event_id = p.event_id
)
SELECT
    event_id, action, action_prob, model_id, observation, arms, sample_prob, observed_at AS "timestamp",
    probabilities, reward, rewarded_at, reward_source, CASE WHEN fate IS NULL OR fate = 'refused' THEN reason END AS reason,
    '{{ plan.join_id }}' AS join_id,
    CASE
        WHEN fate IS NOT NULL THEN fate
        WHEN reason IS NOT NULL THEN 'refused'
        WHEN sample_prob <= {{ plan.train_share }} THEN 'train'
        ELSE 'evaluation'
    END AS outcome
FROM given
{%- if scope.defaults %}
UNION ALL  -- events that waited longer than the horizon for a reward
SELECT
    o.event_id, o.action, o.action_prob, o.model_id, o.observation, o.arms, o.sample_prob, o.observed_at,
    o.probabilities, {{ plan.default_reward }}, {{ plan.as_of }}, 'default', CAST(NULL AS varchar),
    '{{ plan.join_id }}',
    CASE WHEN o.sample_prob <= {{ plan.train_share }} THEN 'train' ELSE 'evaluation' END
FROM observed o
LEFT JOIN settled s ON s.event_id = o.event_id
LEFT JOIN (SELECT DISTINCT event_id FROM checked WHERE reason IS NULL) g ON g.event_id = o.event_id
WHERE s.event_id IS NULL AND g.event_id IS NULL
    AND o.observed_at >= {{ scope.defaults[0] }} AND o.observed_at < {{ scope.defaults[1] }}
    AND o.action_prob > 0 AND o.action_prob <= 1 AND o.sample_prob >= 0 AND o.sample_prob <= 1
{%- endif %}

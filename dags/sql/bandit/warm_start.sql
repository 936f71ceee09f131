-- The log of an earlier policy as joined events, split as live events are: by a sample probability for each.
{% set plan = ti.xcom_pull(task_ids=plan_task) -%}
INSERT INTO {{ plan.tables.joined }}
WITH numbered AS (
    SELECT
        *,
        -- A log without sample probabilities: a number in [0, 1) that the event id decides, for ever the same.
        coalesce(sample_prob, from_base(substr(to_hex(md5(to_utf8(event_id))), 1, 8), 16) / 4294967296e0) AS drawn,
        row_number() OVER (PARTITION BY event_id ORDER BY "timestamp", reward) AS place
    FROM {{ plan.tables.logged }}
), judged AS (
    SELECT
        *,
        CASE
            WHEN event_id IS NULL OR event_id = '' THEN 'no event id'
            WHEN place > 1 THEN 'the event id is there before'
            WHEN action IS NULL OR observation IS NULL THEN 'the observation is incomplete'
            WHEN action_prob IS NULL OR NOT (action_prob > 0 AND action_prob <= 1)
                THEN 'the action probability is outside (0, 1]'
            WHEN drawn IS NULL OR NOT (drawn >= 0 AND drawn <= 1)
                THEN 'the sample probability is outside [0, 1]'
            WHEN reward IS NULL OR is_nan(reward) THEN 'the reward is no number'
            WHEN reward < {{ plan.reward_low }} OR reward > {{ plan.reward_high }}
                THEN 'the reward is outside [{{ plan.reward_low }}, {{ plan.reward_high }}]'
        END AS reason
    FROM numbered
)
SELECT
    event_id, action, action_prob, model_id, observation, arms, drawn AS sample_prob, "timestamp",
    probabilities, reward, "timestamp" AS rewarded_at, 'given' AS reward_source, reason,
    '{{ plan.join_id }}' AS join_id,
    CASE
        WHEN reason IS NOT NULL THEN 'refused'
        WHEN drawn <= {{ plan.train_share }} THEN 'train'
        ELSE 'evaluation'
    END AS outcome
FROM judged

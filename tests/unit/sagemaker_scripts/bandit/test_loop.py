"""A small seeded life of a policy: it acts, learns, is judged on what was left out, and improves."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from policy import config, evaluation, model, training
from policy.model import Policy
from policy.serving import draw

from mlops.bandit.gate import decide

from .conftest import BEST, CONTENT, write_rows

BATCHES, STEPS, TRAIN_SHARE = 4, 150, 0.8


def act(policy: Policy, batch: int, chance: random.Random) -> list[dict[str, Any]]:
    rows = []
    for number in range(STEPS):
        colour = chance.choice(list(BEST))
        observation = [chance.gauss(50, 10), colour]
        chances = policy.probabilities(observation)
        place = draw(chances, chance.random())
        rows.append(
            {
                "event_id": f"{batch}-{number}",
                "action": str(place + 1),
                "action_prob": chances[place],
                "observation": json.dumps(observation),
                "sample_prob": chance.random(),
                "reward": float(place + 1 == BEST[colour]),
            }
        )
    return rows


def test_the_loop_learns_and_the_gate_lets_it(tmp_path: Path) -> None:
    chance = random.Random(7)
    parsed = config.parse({**CONTENT, "ignore_linear": ["s"]})
    last = tmp_path / "m0"
    training.train(model_id="m0", output=last, config=parsed)
    hosted = model.load(last)
    means, approvals = [], 0
    for batch in range(1, BATCHES + 1):
        rows = act(hosted, batch, chance)
        means.append(sum(row["reward"] for row in rows) / STEPS)
        kept = [row for row in rows if row["sample_prob"] <= TRAIN_SHARE]
        left_out = [row for row in rows if row["sample_prob"] > TRAIN_SHARE]
        write_rows(tmp_path / "evaluation", left_out, f"{batch}.jsonl")
        output = tmp_path / f"m{batch}"
        training.train(
            model_id=f"m{batch}", output=output, parent=last, rows=write_rows(tmp_path / f"r{batch}", kept)
        )
        last, challenger = output, model.load(output)
        result, _ = evaluation.evaluate(
            tmp_path / "evaluation", {"challenger": challenger, "champion": hosted}, folds=3
        )
        verdict = decide(result, margin=0.05, minimum_rows=20)
        if verdict.approved:
            hosted, approvals = challenger, approvals + 1
    # Chance earns 1/3; the right arm is known once each colour was seen a few times.
    assert means[0] < 0.5
    assert means[-1] > 0.95
    assert approvals >= BATCHES - 1
    assert hosted.metadata.total_rows > 300

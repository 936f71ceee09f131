"""What a policy earns while it learns: the loop of a bandit, in one process.

    BANDIT_DATA=shuttle.trn .venv/jobs/bin/python -m benchmarks.bandit_loop [--data FILE] [--seeds 5]

BANDIT_DATA is a table of blank-separated numbers with the class last, as Statlog's shuttle.trn: a step shows
one row, and the reward is 1 when the action is its class.

* loop: 100 uniform random steps to start from, then 15 batches of 500 steps. After each batch: training on
  the share 0.85 of its rows, evaluation of challenger and champion on what was left out so far, the gate, the
  swap. The jobs' own functions run, on files; what is left out is Airflow, the endpoint and the join. Targets
  in the mean of the seeds: 0.96 over all steps, 0.985 over the last 500, and 0.97 in the worst seed.
* regret: 10,000 steps from nothing, an update after every step; target 130, the published NeuralTS figure on
  this data is 232. One-hot quantile bins suit shuttle's thresholds, and its 80 % class makes the first steps
  cheap: the figure says little about other data.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vowpalwabbit import Workspace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "sagemaker_scripts" / "bandit"))

from policy import config, evaluation, model, training
from policy.config import Config
from policy.encoder import Encoder
from policy.examples import Examples, Label
from policy.model import Policy, proper
from policy.serving import draw

from mlops.bandit.gate import decide

WARM, BATCHES, BATCH, TRAIN_SHARE = 100, 15, 500, 0.85
MARGIN, MINIMUM_ROWS = 0.05, 50
REGRET_STEPS, REGRET_TARGET = 10_000, 130
RAREST = 0.0005  # classes below this share are left out, as in the original simulation


@dataclass(frozen=True)
class Table:
    """A labelled table as a world: contexts (n, d), classes (n,) from 1, and how many arms there are."""

    contexts: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]
    arms: int

    @classmethod
    def read(cls, path: Path) -> Table:
        data = np.loadtxt(path)
        classes = data[:, -1].astype(int)
        counts = np.bincount(classes)
        kept = counts[classes] >= RAREST * len(classes)
        return cls(data[kept, :-1], classes[kept], int(classes.max()))

    def config(self, **changes: Any) -> Config:
        features = [{"name": f"x{place}"} for place in range(1, self.contexts.shape[1] + 1)]
        content = {
            "version": 1,
            "context": features,
            "arms": {"fixed": list(range(1, self.arms + 1))},
            "ignore_linear": ["s"],
        }
        return config.parse(content | changes)


class Life:
    """One seed's loop: acts, writes joined rows, runs the jobs."""

    def __init__(self, table: Table, seed: int, folder: Path) -> None:
        self.table = table
        self.rng = np.random.default_rng(seed)
        self.folder = folder
        self.rewards: list[float] = []
        self.findings = ""  # of the gate, a letter a batch

    def act(self, steps: int, policy: Policy | None) -> list[dict[str, Any]]:
        """Joined rows of so many steps; without a policy the arms are drawn uniformly."""
        rows = []
        for _ in range(steps):
            at = int(self.rng.integers(len(self.table.classes)))
            context = self.table.contexts[at].tolist()
            chances = policy.probabilities(context) if policy else [1 / self.table.arms] * self.table.arms
            place = draw(chances, self.rng.random())
            reward = float(place + 1 == self.table.classes[at])
            if policy:
                self.rewards.append(reward)
            rows.append(
                {
                    "event_id": f"{len(self.rewards)}-{self.rng.integers(1 << 62)}",
                    "action": str(place + 1),
                    "action_prob": chances[place],
                    "observation": json.dumps(context),
                    "sample_prob": self.rng.random(),
                    "reward": reward,
                }
            )
        return rows

    def run(self, parsed: Config, *, gate: bool = True) -> None:
        warm = self._write("train", "warm", self.act(WARM, None))
        champion = self._train("m0", config=parsed, rows=warm)
        last, policy = champion, model.load(champion)
        verdicts = []
        for number in range(1, BATCHES + 1):
            rows = self.act(BATCH, policy)
            left_out = [row for row in rows if row["sample_prob"] > TRAIN_SHARE]
            kept = [row for row in rows if row["sample_prob"] <= TRAIN_SHARE]
            last = self._train(f"m{number}", parent=last, rows=self._write("train", f"b{number}", kept))
            self._write("evaluation", f"b{number}", left_out)
            challenger = model.load(last)
            approved = True
            if gate:
                result, _ = evaluation.evaluate(
                    self.folder / "evaluation", {"challenger": challenger, "champion": policy}
                )
                verdict = decide(result, margin=MARGIN, minimum_rows=MINIMUM_ROWS)
                approved = verdict.approved
                verdicts.append(verdict.finding[0])
            if approved:
                policy = challenger
        self.findings = "".join(verdicts)

    def _train(self, model_id: str, **arguments: Any) -> Path:
        output = self.folder / "models" / model_id
        training.train(model_id=model_id, output=output, **arguments)
        return output

    def _write(self, kind: str, name: str, rows: Sequence[dict[str, Any]]) -> Path:
        folder = self.folder / kind / name
        folder.mkdir(parents=True)
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder


def loop(table: Table, seeds: int, *, gate: bool = True, **changes: Any) -> bool:
    """Print each seed's mean rewards; whether the targets are met."""
    results = []
    for seed in range(seeds):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            life = Life(table, seed, Path(folder))
            life.run(table.config(**changes), gate=gate)
        mean, last = float(np.mean(life.rewards)), float(np.mean(life.rewards[-500:]))
        results.append((mean, last))
        print(
            f"  seed {seed}: mean reward {mean:.4f} over {len(life.rewards)} steps, last 500 {last:.4f} "
            f"gate {life.findings} ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
    means = np.mean(results, axis=0)
    worst = min(last for _, last in results)
    print(f"loop, {seeds} seeds: mean {means[0]:.4f}, last 500 {means[1]:.4f}, worst seed's {worst:.4f}")
    return bool(means[0] >= 0.96 and means[1] >= 0.985 and worst >= 0.97)


def regret(table: Table, seeds: int) -> bool:
    """Print the regret of learning at every step, from nothing but the edges of 100 contexts."""
    parsed = table.config()
    totals = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        first = rng.integers(len(table.classes), size=WARM)
        examples = Examples(parsed, Encoder.fit(parsed, [table.contexts[i].tolist() for i in first], []))
        vw = Workspace(arg_list=[*parsed.vw_arguments(), "--quiet", "--random_seed", str(seed)])
        lost = 0
        for _ in range(REGRET_STEPS):
            at = int(rng.integers(len(table.classes)))
            context = table.contexts[at].tolist()
            chances = proper(vw.predict(examples.lines(context)))
            place = draw(chances, rng.random())
            wrong = place + 1 != table.classes[at]
            lost += int(wrong)
            vw.learn(examples.lines(context, None, Label(place, float(wrong), chances[place])))
        vw.finish()
        totals.append(lost)
    mean = float(np.mean(totals))
    print(f"regret at {REGRET_STEPS}, {seeds} seeds: {mean:.0f} (each: {totals}; target {REGRET_TARGET})")
    return mean <= REGRET_TARGET


def main() -> int:
    parser = argparse.ArgumentParser(description="What a policy earns while it learns.")
    parser.add_argument("--data", type=Path, default=os.environ.get("BANDIT_DATA"))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if options.data is None:
        print("skipped: set BANDIT_DATA to a table such as Statlog's shuttle.trn")
        return 0
    table = Table.read(options.data)
    majority = float(np.bincount(table.classes).max() / len(table.classes))
    print(f"{len(table.classes)} rows, {table.arms} arms; always the majority arm: {majority:.3f}")
    met = [loop(table, options.seeds), regret(table, options.seeds)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())

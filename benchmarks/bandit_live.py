"""The bandit's loop end to end, seed after seed: endpoint, log, join, training, gate, swap, under Airflow.

    BANDIT_DATA=shuttle.trn .venv/worker/bin/python -m benchmarks.bandit_live [--data FILE] [--seeds 5]

What `make demo-bandit` plays, 15 batches of 500 steps after 100 steps of chance, once for each seed, on a
stack of its own. BANDIT_DATA is a table of numbers with the label last, as Statlog's shuttle.trn. It takes
minutes a seed; `bandit_loop` plays the same in one process, in seconds.
Targets, in the mean of the seeds: 0.96 over all steps, 0.985 over the last 500, and there 0.97 in the worst.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from workbench import ports, stack
from workbench.airflow_api import AirflowApi
from workbench.demo_bandit import LAST, Game, RunFailed, play
from workbench.settings import Settings
from workbench.watch import explain_failure

MEAN, LAST_MEAN, WORST = 0.96, 0.985, 0.97


def main() -> int:
    """Print what each seed came to; returns 1 when a run failed or a target is missed."""
    parser = argparse.ArgumentParser(description="The bandit's loop end to end.")
    parser.add_argument("--data", type=Path, default=os.environ.get("BANDIT_DATA"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--batches", type=int, default=15)
    options = parser.parse_args()
    if options.data is None:
        print("skipped: set BANDIT_DATA to a table such as Statlog's shuttle.trn")
        return 0
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        settings = Settings(Path(folder) / "stack", *ports.free_ports(3))
        airflow = AirflowApi(settings)
        try:
            stack.up(settings)
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                game = Game(str(options.data.resolve()), f"live-{seed}", batches=options.batches, seed=seed)
                results.append(live(settings, airflow, game, Path(folder) / game.experiment))
        except RunFailed as failed:
            explain_failure(airflow, failed.dag_id, failed.run_id)
            return 1
        finally:
            stack.down(settings)
    mean, last = (statistics.fmean(column) for column in zip(*results, strict=True))
    worst = min(last for _, last in results)
    print(f"{len(results)} seeds: mean {mean:.4f}, last {LAST} {last:.4f}, worst seed's {worst:.4f}")
    return 0 if mean >= MEAN and last >= LAST_MEAN and worst >= WORST else 1


def live(settings: Settings, airflow: AirflowApi, game: Game, folder: Path) -> tuple[float, float]:
    """One seed's mean reward, over all steps and over the last ones."""
    started = time.monotonic()
    steps, history = play(settings, airflow, game, folder)
    rewards = [step["reward"] for step in steps]
    mean, last = statistics.fmean(rewards), statistics.fmean(rewards[-LAST:])
    findings = "".join(batch["verdict"].get("finding", "-")[0] for batch in history)
    learned = statistics.median(batch["seconds"] for batch in history)
    print(
        f"seed {game.seed}: mean reward {mean:.4f} over {len(rewards)} steps, last {LAST} {last:.4f}, gate "
        f"{findings} ({time.monotonic() - started:.0f} s, {learned:.1f} s a batch)",
        flush=True,
    )
    return mean, last


if __name__ == "__main__":
    sys.exit(main())

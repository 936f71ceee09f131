"""What a DAG file adds to Airflow's own import: every task pays it again.

    .venv/worker/bin/python -m benchmarks.parsing [--rounds 5]

In a fresh process: import airflow.sdk, then the DAG file. Median of the second. Target: <= 0.3 s for a file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from workbench.settings import ROOT

TARGET_SECONDS = 0.3
PROGRAM = """
import runpy, sys, time
import airflow.sdk, airflow.sdk.execution_time.task_runner
started = time.perf_counter()
runpy.run_path(sys.argv[1])
print(time.perf_counter() - started)
"""


def seconds(path: str) -> float:
    """One parse of a file in a process of its own, Airflow's own imports not counted."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}", "MLOPS_ENVIRONMENT": "local"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, path], check=True, env=environment, capture_output=True, text=True
    )
    return float(done.stdout.splitlines()[-1])


def main() -> int:
    """Print a line per DAG file; returns 1 when one takes longer than the target."""
    parser = argparse.ArgumentParser(description="Parse time of the DAG files.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    slowest = 0.0
    for path in sorted((ROOT / "dags").glob("*.py")):
        taken = statistics.median(seconds(str(path)) for _ in range(rounds))
        slowest = max(slowest, taken)
        print(f"{path.name:<30} {taken:.2f} s   target <= {TARGET_SECONDS} s")
    return 0 if slowest <= TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())

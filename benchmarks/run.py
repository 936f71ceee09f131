"""`make bench`: every benchmark in its environment, one after the other, and what each measured.

    make bench [NAME=pipeline]

Each is a module of its own; its docstring says what is measured, and against what.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from workbench import environments
from workbench.settings import ROOT

# name -> the environment it runs in
BENCHMARKS = {
    "pipeline": "worker",
    "parsing": "worker",
    "jobs": "worker",
    "endpoint": "jobs",
    "local_aws": "local-aws",
    "against_moto": "local-aws",
    "fairness": "worker",
    "bandit_join": "worker",
    "bandit_estimates": "jobs",
    "bandit_loop": "jobs",
    "bandit_live": "worker",
    "bandit_speed": "jobs",
    "monitoring": "jobs",
}


def main(names: list[str]) -> int:
    """Run the benchmarks named (default: all); returns 1 when one failed or missed its target."""
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        print(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
        return 2
    missed = []
    for name in names or BENCHMARKS:
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        python = environments.require(BENCHMARKS[name])
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "plugins")}
        if subprocess.call([str(python), "-m", f"benchmarks.{name}"], cwd=ROOT, env=environment) != 0:
            missed.append(name)
        print(f"   ({time.monotonic() - started:.0f} s)", flush=True)
    if missed:
        print(f"\nfailed, or short of the target: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

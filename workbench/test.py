"""`make test`: every test, in the environment that its directory names, with one summary at the end."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from workbench import environments

ROOT = Path(__file__).resolve().parent.parent
# The directory decides the interpreter: what runs on a worker is tested on a worker, what runs in a job in a
# job. The whole pipeline takes longest and starts first; it runs `browser` on its own stack, in the set of
# that name. The others follow beside it, in the order of the quickest news.
DIRECTORIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("worker", ("end_to_end",)),
    ("worker", ("unit/config", "unit/mlops", "unit/workbench", "dags")),
    ("local-aws", ("unit/local_aws",)),
    ("functions", ("unit/lambda_functions",)),
    ("jobs", ("unit/glue_scripts", "unit/sagemaker_scripts", "unit/clients", "unit/images", "unit/serving")),
    ("local-aws", ("contracts/boto3",)),
    ("jobs", ("contracts/jobs",)),
    ("sdk", ("contracts/sdk",)),
    ("sdk2", ("contracts/sdk2",)),
    ("clients", ("contracts/clients",)),
    ("worker", ("contracts/provider",)),
)
SLOW = ("contracts/", "end_to_end")
LANES = 2  # much of a test's time is waiting; more lanes would starve what is waited for
NOTHING_COLLECTED = 5


@dataclass
class Counts:
    """Tests of one or more runs. An error outside a test (a fixture, an import) counts as failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Counts) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tests; returns 0 only when each set ran and none of its tests failed."""
    parser = argparse.ArgumentParser(prog="workbench.test", description=__doc__.splitlines()[0])
    parser.add_argument("--fast", action="store_true", help="only what starts neither Airflow nor Spark")
    parser.add_argument("sets", nargs="*", help="only these environments' tests (default: all)")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    total, broken = Counts(), []
    runs: dict[Future[tuple[int, Counts, str]], str] = {}
    with ThreadPoolExecutor(LANES) as lanes:
        for name, directories in DIRECTORIES:
            wanted = [d for d in directories if not (options.fast and d.startswith(SLOW))]
            present = [f"tests/{d}" for d in wanted if any((ROOT / "tests" / d).rglob("test_*.py"))]
            if present and (not options.sets or name in options.sets):
                title = f"{name}: {' '.join(present)}"
                runs[lanes.submit(run_set, name, present, fast=options.fast)] = title
        try:
            for run in as_completed(runs):
                code, counts, output = run.result()
                print(f"\n== {runs[run]}\n{output}", end="", flush=True)
                total.add(counts)
                if code not in (0, NOTHING_COLLECTED):
                    died = f" (pytest ended with {code})" if code != 1 else ""
                    broken.append(f"{runs[run]}{died}")
        except KeyboardInterrupt:
            lanes.shutdown(cancel_futures=True)  # the terminal has told those that run
            raise SystemExit(130) from None
    print(f"\n{total} in {time.monotonic() - started:.0f} s", flush=True)
    if broken:
        print(f"failed in: {'; '.join(broken)}", flush=True)
    return 1 if broken or total.failed else 0


def run_set(name: str, directories: Sequence[str], *, fast: bool = False) -> tuple[int, Counts, str]:
    """Run pytest on directories with the interpreter of a set: its exit code, its counts, what it printed."""
    print(f"-- started {name}: {' '.join(directories)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [str(environments.require(name)), "-m", "pytest", "-q", f"--junitxml={report}"]
        command += ["-m", "not slow"] if fast else []
        done = subprocess.run(
            [*command, *directories],
            check=False,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        return done.returncode, read_report(report), done.stdout


def read_report(report: Path) -> Counts:
    """The counts of a JUnit report; none when pytest ended before it wrote one."""
    counts = Counts()
    if not report.exists():
        return counts
    # Our own pytest wrote the file just now.
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):  # noqa: S314
        tests, failures, errors, skipped = (
            int(suite.get(kind, "0")) for kind in ("tests", "failures", "errors", "skipped")
        )
        failed = failures + errors
        counts.add(Counts(tests - failed - skipped, failed, skipped))
    return counts


if __name__ == "__main__":
    sys.exit(main())

"""Time and memory of the monitoring jobs against the number of rows, and against Evidently.

    .venv/jobs/bin/python -m benchmarks.monitoring [--rows 10000 100000 1000000] [--picture FILE.png]

For every size: a baseline from a CSV file, then a capture window (one request a line, as endpoints leave
them) checked against the *stored* baseline, and merged records judged for model quality. Each job is a
process of its own, started as a processing job is, so start-up is in the time and the peak memory is the
job's alone. One baseline (of 100,000 rows) serves every window: nothing rescans the reference.

Evidently's drift preset reads the same million rows from CSV, and as many of a reference, in a process and
an environment of its own. The targets are those of the README's table; a missed one is the exit code.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from workbench import environments

BASELINE_ROWS = 100_000
COMPARED_ROWS = 1_000_000  # at this size Evidently is measured too
FASTER_CHECK, FASTER_BASELINE, MEGABYTES = 20, 5, 1024  # targets at that size
CHUNK = 50_000


def write_data(folder: Path, rows: int, columns: int, seed: int = 0) -> dict[str, Path]:
    """A CSV, a capture folder and a merged folder of the same rows.

    Half the features amounts, half whole numbers.
    """
    names = ["score", *(f"f{i}" for i in range(columns - 1))]
    hour = "churn/AllTraffic/2026/11/20/10"
    places = {
        "csv": folder / f"csv-{rows}" / "data.csv",
        "capture": folder / f"capture-{rows}" / hour / "00-00-000-a.jsonl",
        "merged": folder / f"merged-{rows}" / hour / "part-00000-a.jsonl",
    }
    streams = {}
    for kind, place in places.items():
        place.parent.mkdir(parents=True)
        streams[kind] = place.open("w")
    streams["csv"].write(",".join(names) + "\n")
    random = np.random.default_rng([rows, seed])
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        scores = np.char.mod("%.6f", random.beta(1, 6, count))
        amounts = [np.char.mod("%.2f", random.normal(180, 50, count)) for _ in range((columns - 1) // 2)]
        wholes = [random.poisson(4 + i, count).astype(str) for i in range(columns - 1 - len(amounts))]
        truth = (random.random(count) < 0.14).astype(int)
        lines = [",".join(cells) for cells in zip(*amounts, *wholes, strict=True)]
        for i, (score, line) in enumerate(zip(scores.tolist(), lines, strict=True)):
            streams["csv"].write(f"{score},{line}\n")
            body = (
                '"captureData":{"endpointInput":{"observedContentType":"text/csv","mode":"INPUT",'
                f'"data":"{line}","encoding":"CSV"}},"endpointOutput":{{"observedContentType":'
                f'"text/csv; charset=utf-8","mode":"OUTPUT","data":"{score}","encoding":"CSV"}}}},'
                f'"eventMetadata":{{"eventId":"{start + i:032x}","inferenceId":"c{start + i}",'
                '"inferenceTime":"2026-11-20T10:20:30Z"},"eventVersion":"0"}\n'
            )
            streams["capture"].write("{" + body)
            streams["merged"].write(f'{{"groundTruthData":{{"data":"{truth[i]}","encoding":"CSV"}},' + body)
    for stream in streams.values():
        stream.close()
    return places


def run(base: Path, env: dict[str, str]) -> dict[str, float]:
    """Wall and CPU seconds and peak megabytes of one analyzer job. Raises when it fails."""
    base.mkdir(parents=True)
    command = [sys.executable, "-c", _CHILD]
    started = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(base), "output_path": str(base / "report"), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(done.stderr)
    megabytes, cpu = map(float, done.stdout.split()[-2:])
    return {"seconds": seconds, "cpu_seconds": cpu, "megabytes": megabytes}


_CHILD = """
import resource, sys
from sagemaker_scripts.monitoring.jobs import main
code = main(["analyzer"])
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_maxrss / 1024, used.ru_utime + used.ru_stime)
sys.exit(code)
"""


def measure(
    folder: Path, rows: int, columns: int, baseline: Path, reference: Path | None
) -> list[dict[str, Any]]:
    """One row for each job. With a `reference` file Evidently compares it with the same rows."""
    places = write_data(folder, rows, columns)
    capture = json.dumps({"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}})
    jobs = {
        "baseline": {
            "dataset_source": str(places["csv"].parent),
            "dataset_format": '{"csv":{"header":true}}',
        },
        "data quality": {
            "dataset_source": str(folder / f"capture-{rows}"),
            "dataset_format": capture,
            "baseline_constraints": str(baseline / "constraints.json"),
            "baseline_statistics": str(baseline / "statistics.json"),
        },
        "model quality": {
            "dataset_source": str(folder / f"merged-{rows}"),
            "dataset_format": '{"sagemakerMergeJson":{"captureIndexNames":["endpointOutput"]}}',
            "analysis_type": "MODEL_QUALITY",
            "problem_type": "BinaryClassification",
            "probability_attribute": "0",
        },
    }
    found = []
    for job, env in jobs.items():
        used = run(folder / f"job-{rows}-{job.replace(' ', '-')}", env)
        found.append({"job": job, "rows": rows, "columns": columns} | used)
        print(
            f"{job:14} {rows:>11,} rows {used['seconds']:8.2f} s "
            f"({used['cpu_seconds']:.2f} s of CPU) {used['megabytes']:8.0f} MB",
            flush=True,
        )
    if reference is not None:
        used = evidently(places["csv"], reference)
        found.append({"job": "Evidently", "rows": rows, "columns": columns} | used)
        print(
            f"{'Evidently':14} {rows:>11,} rows {used['seconds']:8.2f} s "
            f"({used['report']:.2f} s without start and reading) {used['megabytes']:8.0f} MB",
            flush=True,
        )
    for place in places.values():
        place.unlink()
    return found


def evidently(current: Path, reference: Path) -> dict[str, float]:
    """Wall seconds of the whole process, of the report alone, and peak megabytes."""
    environments.build(["evidently"])
    python = environments.require("evidently")
    script = Path(__file__).with_name("evidently_drift.py")
    started = time.perf_counter()
    done = subprocess.run(
        [str(python), "-W", "ignore", str(script), str(reference), str(current)],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - started
    return {"seconds": seconds, **json.loads(done.stdout.splitlines()[-1])}


def verdicts(result: list[dict[str, Any]], rows: int) -> list[str]:
    """The targets that were missed at a number of rows, in words."""
    used = {each["job"]: each for each in result if each["rows"] == rows}
    missed = []
    for job, factor in (("data quality", FASTER_CHECK), ("baseline", FASTER_BASELINE)):
        ratio = used["Evidently"]["seconds"] / used[job]["seconds"]
        print(f"{job}: {ratio:.0f} times as fast as Evidently (target {factor})")
        if ratio < factor:
            missed.append(f"{job}: {ratio:.1f} times as fast as Evidently, not {factor}")
    for job in ("baseline", "data quality", "model quality"):
        if used[job]["megabytes"] > MEGABYTES:
            missed.append(f"{job}: {used[job]['megabytes']:.0f} MB")
    return missed


def draw(result: list[dict[str, Any]], path: Path) -> None:
    """Seconds and megabytes against rows, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, measure_, label in zip(axes, ("seconds", "megabytes"), ("seconds", "peak MB"), strict=True):
        for job in dict.fromkeys(each["job"] for each in result):
            points = [(each["rows"], each[measure_]) for each in result if each["job"] == job]
            axis.loglog(*zip(*points, strict=True), marker="o", label=job)
        axis.set(xlabel="rows", ylabel=label)
        axis.grid(which="both", alpha=0.2)
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="draw cost against rows into this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="monitoring-") as name:
        folder = Path(name)
        reference = write_data(folder / "reference", BASELINE_ROWS, options.columns)["csv"].parent
        run(
            folder / "baseline",
            {"dataset_source": str(reference), "dataset_format": '{"csv":{"header":true}}'},
        )
        result = []
        for rows in options.rows:
            other = None
            if rows == COMPARED_ROWS:
                other = write_data(folder / "other", rows, options.columns, seed=1)["csv"]
                for kind in ("capture", "merged"):
                    shutil.rmtree(folder / "other" / f"{kind}-{rows}")
            result += measure(folder, rows, options.columns, folder / "baseline" / "report", other)
    if options.json:
        cores = len(os.sched_getaffinity(0))
        options.json.write_text(json.dumps({"cores": cores, "jobs": result}, indent=1) + "\n")
    if options.picture:
        draw(result, options.picture)
    missed = verdicts(result, COMPARED_ROWS) if COMPARED_ROWS in options.rows else []
    print("\n".join(f"missed: {each}" for each in missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

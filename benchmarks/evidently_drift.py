"""Evidently's data drift preset over two CSV files: what benchmarks/monitoring.py measures against.

    .venv/evidently/bin/python benchmarks/evidently_drift.py REFERENCE.csv CURRENT.csv

Prints as JSON: seconds of reading, seconds of the report, peak megabytes. It runs in an environment of its
own, because Evidently needs another pandas than the jobs may one day have.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def main(reference: str, current: str) -> None:
    started = time.perf_counter()
    tables = [pd.read_csv(path) for path in (current, reference)]
    read = time.perf_counter() - started
    definition = DataDefinition(numerical_columns=list(tables[0].columns))
    started = time.perf_counter()
    datasets = [Dataset.from_pandas(table, data_definition=definition) for table in tables]
    json.loads(Report([DataDriftPreset()]).run(*datasets).json())
    report = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"read": read, "report": report, "megabytes": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])

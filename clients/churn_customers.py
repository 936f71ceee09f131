"""Telecom customers that do not exist.

    python -m clients.churn_customers --rows 5000 --seed 7 --output customers.csv

The raw form of the reference data (21 columns, `Churn?` last), with marginals fitted to Larose's 3333
customers: minutes and calls are normal, international and service calls negative binomial, charges are
minutes times tariff.

Churn is drawn with probability sigmoid(`churn_logit`), whose three strong terms are the ones that trees
find in the real data: heavy daytime use without a voice mail plan, four or more service calls from a light
user, and an international plan that does not pay (few calls, or long ones). Noise apart it is learnable:
see tests and benchmarks.

Rows are made in chunks, each with a random stream of its own, so memory is flat, and a larger file of the
same seed begins with the rows of a smaller one.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

Floats: TypeAlias = npt.NDArray[np.float64]

HEADER = [
    "State", "Account Length", "Area Code", "Phone", "Int'l Plan", "VMail Plan", "VMail Message",
    "Day Mins", "Day Calls", "Day Charge", "Eve Mins", "Eve Calls", "Eve Charge",
    "Night Mins", "Night Calls", "Night Charge", "Intl Mins", "Intl Calls", "Intl Charge",
    "CustServ Calls", "Churn?",
]  # fmt: skip
STATES = [
    "AK", "AL", "AR", "AZ", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "HI", "IA", "ID", "IL", "IN", "KS",
    "KY", "LA", "MA", "MD", "ME", "MI", "MN", "MO", "MS", "MT", "NC", "ND", "NE", "NH", "NJ", "NM", "NV",
    "NY", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VA", "VT", "WA", "WI", "WV", "WY",
]  # fmt: skip
TARIFF = {"Day": 0.17, "Eve": 0.085, "Night": 0.045, "Intl": 0.27}  # dollars a minute
CHUNK = 50_000
MINIMUM_ROWS, MAXIMUM_ROWS = 3_000, 10_000_000
PHONES = 10_000_000  # seven digits; no two customers share one


def churn_logit(
    day_mins: Floats,
    eve_mins: Floats,
    intl_mins: Floats,
    intl_calls: Floats,
    custserv_calls: Floats,
    intl_plan: npt.NDArray[np.bool_],
    vmail_plan: npt.NDArray[np.bool_],
) -> Floats:
    """Log odds of churn, one a customer. Minutes are a month's."""
    expensive_day = _sigmoid((day_mins + 0.4 * (eve_mins - 200) - 255) / 7) * ~vmail_plan
    annoyed = (custserv_calls >= 4) * _sigmoid((205 - day_mins) / 12)
    plan_does_not_pay = intl_plan & ((intl_calls <= 2) | (intl_mins > 13))
    return -4.0 + 6.4 * expensive_day + 5.2 * annoyed + 7.0 * plan_does_not_pay + 0.7 * intl_plan


def customers(rows: int, seed: int) -> Iterator[pa.Table]:
    """Chunks of customers in the raw form, `rows` in all. Raises ValueError for a number of rows out of
    range."""
    if not MINIMUM_ROWS <= rows <= MAXIMUM_ROWS:
        raise ValueError(f"rows must be between {MINIMUM_ROWS:,} and {MAXIMUM_ROWS:,}, got {rows:,}")
    for first in range(0, rows, CHUNK):
        yield _chunk(first, seed).slice(0, min(CHUNK, rows - first))


def write(rows: int, seed: int, output: Path, progress: bool = False) -> None:
    """Write `rows` customers to a CSV file; the file appears when it is complete."""
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    started = time.monotonic()
    written = 0
    options = csv.WriteOptions(include_header=False, quoting_style="none")
    try:
        with partial.open("wb") as stream:
            stream.write((",".join(HEADER) + "\n").encode())
            for chunk in customers(rows, seed):
                csv.write_csv(chunk, stream, options)
                written += len(chunk)
                if progress:
                    _show(written, rows, time.monotonic() - started)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def _chunk(first: int, seed: int) -> pa.Table:
    draw = np.random.default_rng([seed, first // CHUNK])
    vmail_plan = draw.random(CHUNK) < 0.2766
    intl_plan = draw.random(CHUNK) < 0.0969
    values: dict[str, Any] = {
        "State": np.array(STATES)[draw.integers(0, len(STATES), CHUNK)],
        "Account Length": _whole(draw.normal(101, 39.8, CHUNK), 1, 243),
        "Area Code": draw.choice([408, 415, 510], CHUNK, p=[0.2515, 0.4965, 0.252]),
        "Phone": _phones(first, seed),
        "Int'l Plan": np.where(intl_plan, "yes", "no"),
        "VMail Plan": np.where(vmail_plan, "yes", "no"),
        "VMail Message": _whole(draw.normal(29.3, 7.6, CHUNK), 4, 51) * vmail_plan,
    }
    for part, mean, deviation in (("Day", 179.8, 54.5), ("Eve", 201.0, 50.7), ("Night", 200.9, 50.6)):
        values[f"{part} Mins"] = np.round(np.clip(draw.normal(mean, deviation, CHUNK), 0, 400), 1)
        values[f"{part} Calls"] = _whole(draw.normal(100.2, 19.9, CHUNK), 0, 175)
    values["Intl Mins"] = np.round(np.clip(draw.normal(10.24, 2.79, CHUNK), 0, 20), 1)
    values["Intl Calls"] = np.minimum(draw.negative_binomial(12.7, 0.739, CHUNK), 20)
    values["CustServ Calls"] = np.minimum(draw.negative_binomial(14.3, 0.9015, CHUNK), 9)
    for part, tariff in TARIFF.items():
        values[f"{part} Charge"] = np.round(values[f"{part} Mins"] * tariff, 2)
    logit = churn_logit(
        values["Day Mins"],
        values["Eve Mins"],
        values["Intl Mins"],
        values["Intl Calls"],
        values["CustServ Calls"],
        intl_plan,
        vmail_plan,
    )
    values["Churn?"] = np.where(draw.random(CHUNK) < _sigmoid(logit), "True.", "False.")
    return pa.table({name: values[name] for name in HEADER})


def _phones(first: int, seed: int) -> npt.NDArray[np.str_]:
    """Phone numbers of customers `first`...: a walk through all of them that meets none twice."""
    draw = np.random.default_rng([seed, MAXIMUM_ROWS])
    step = (
        int(draw.integers(PHONES // 4, PHONES // 2)) // 10 * 10 + 3
    )  # ends in 3: no factor in common with 10**7
    numbers = (int(draw.integers(PHONES)) + step * np.arange(first, first + CHUNK, dtype=np.int64)) % PHONES
    return np.array([f"{number // 10_000:03d}-{number % 10_000:04d}" for number in numbers.tolist()])


def _whole(values: Floats, low: int, high: int) -> npt.NDArray[np.int64]:
    return np.clip(np.rint(values), low, high).astype(np.int64)


def _sigmoid(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-values))


def _show(written: int, rows: int, seconds: float) -> None:
    end = "\n" if written == rows else "\r" if sys.stderr.isatty() else ""
    if end:
        print(f"{written:,} of {rows:,} customers, {seconds:.1f} s", end=end, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Generate telecom customers with a churn label, as CSV.")
    parser.add_argument("--rows", type=int, default=5_000, help=f"{MINIMUM_ROWS:,} to {MAXIMUM_ROWS:,}")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same bytes")
    parser.add_argument("--output", type=Path, required=True, help="the CSV file to write")
    options = parser.parse_args(arguments)
    try:
        write(options.rows, options.seed, options.output, progress=True)
    except (ValueError, OSError) as error:
        parser.exit(1, f"churn_customers: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Customers of a world that has changed: one chosen drift, of stated size, put into a raw file.

    python -m clients.drift --kind shifted_feature --size 40 --input customers.csv --output drifted.csv

Kinds, and what their size says:

* `shifted_feature`: everybody talks so many minutes longer in the day. Churn follows the old rule, so more
  customers leave.
* `new_category`: a share of the customers has an area code that did not exist, and more of them leave.
* `broken_column`: a share of the cells of `Eve Mins` is lost on the way; the customers are the same.
* `changed_concept`: a share of the customers leaves for another reason than before: evening minutes count as
  daytime minutes did. Nothing but labels can show it.

The same file, kind, size and seed give the same bytes.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from clients.churn_customers import TARIFF, churn_logit

LABEL = "Churn?"
NEW_AREA_CODE = "628"
NEW_AREA_LOGIT = 2.0  # added to the log odds of leaving
Draw: TypeAlias = np.random.Generator
Floats: TypeAlias = npt.NDArray[np.float64]


class Drift(NamedTuple):
    """How a kind of drift changes customers; `default`: its size in the demo."""

    apply: Callable[[pd.DataFrame, float, Draw], pd.DataFrame]
    default: float


def drifted(customers: pd.DataFrame, kind: str, size: float, seed: int) -> pd.DataFrame:
    """The customers after the drift; `customers` in the raw form, all columns as text or numbers.

    Raises ValueError for an unknown kind, or a size it cannot have.
    """
    if kind not in DRIFTS:
        raise ValueError(f"there is no drift {kind!r}: {', '.join(DRIFTS)}")
    if kind != "shifted_feature" and not 0 < size <= 1:
        raise ValueError(
            f"the size of {kind} is a share of the customers, above 0 and at most 1: got {size:g}"
        )
    return DRIFTS[kind].apply(customers.copy(), size, np.random.default_rng([seed, len(customers)]))


def _shifted_feature(customers: pd.DataFrame, size: float, draw: Draw) -> pd.DataFrame:
    minutes = np.round(np.clip(customers["Day Mins"].astype(float) + size, 0, 400), 1)
    customers["Day Mins"] = minutes
    customers["Day Charge"] = np.round(minutes * TARIFF["Day"], 2)
    return _labelled(customers, _logit(customers), np.ones(len(customers), dtype=bool), draw)


def _new_category(customers: pd.DataFrame, size: float, draw: Draw) -> pd.DataFrame:
    new = draw.random(len(customers)) < size
    customers["Area Code"] = customers["Area Code"].astype(str).mask(new, NEW_AREA_CODE)
    return _labelled(customers, _logit(customers) + NEW_AREA_LOGIT, new, draw)


def _broken_column(customers: pd.DataFrame, size: float, draw: Draw) -> pd.DataFrame:
    customers["Eve Mins"] = customers["Eve Mins"].astype(object)
    customers.loc[draw.random(len(customers)) < size, "Eve Mins"] = ""
    return customers


def _changed_concept(customers: pd.DataFrame, size: float, draw: Draw) -> pd.DataFrame:
    swapped = customers.rename(columns={"Day Mins": "Eve Mins", "Eve Mins": "Day Mins"})
    return _labelled(customers, _logit(swapped), draw.random(len(customers)) < size, draw)


def _labelled(
    customers: pd.DataFrame, logit: Floats, changed: npt.NDArray[np.bool_], draw: Draw
) -> pd.DataFrame:
    churned = draw.random(len(customers)) < 1 / (1 + np.exp(-logit))
    new = np.where(churned, "True.", "False.")
    customers[LABEL] = np.where(changed, new, customers[LABEL])
    return customers


def _logit(customers: pd.DataFrame) -> Floats:
    def number(name: str) -> Floats:
        return customers[name].to_numpy(dtype=float)

    return churn_logit(
        number("Day Mins"),
        number("Eve Mins"),
        number("Intl Mins"),
        number("Intl Calls"),
        number("CustServ Calls"),
        customers["Int'l Plan"].eq("yes").to_numpy(),
        customers["VMail Plan"].eq("yes").to_numpy(),
    )


DRIFTS = {
    "shifted_feature": Drift(_shifted_feature, 40),
    "new_category": Drift(_new_category, 0.3),
    "broken_column": Drift(_broken_column, 0.2),
    "changed_concept": Drift(_changed_concept, 1),
}


def write(source: Path, kind: str, size: float, seed: int, output: Path) -> int:
    """Write the file after the drift, whole or not at all; returns the number of customers."""
    # Text, so that what the drift does not touch keeps its bytes.
    customers = drifted(pd.read_csv(source, dtype=str, keep_default_na=False), kind, size, seed)
    partial = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        customers.to_csv(partial, index=False)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    return len(customers)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Put a drift into a raw file of customers.")
    parser.add_argument("--kind", choices=list(DRIFTS), required=True)
    parser.add_argument("--size", type=float, help="see above; the default is the demo's")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    size = DRIFTS[options.kind].default if options.size is None else options.size
    try:
        rows = write(options.input, options.kind, size, options.seed, options.output)
    except (ValueError, KeyError, OSError) as error:
        parser.exit(1, f"drift: {error}\n")
    print(f"{rows:,} customers with {options.kind} of {size:g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

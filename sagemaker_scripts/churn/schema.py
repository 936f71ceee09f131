"""The declared schema of churn data, in the two forms that are accepted.

raw:      21 columns with a header, one line a customer; Larose's telecom data.
encoded:  70 columns without a header: label, 11 numbers, one-hot groups; what AWS's samples ship.

Both hold the same customers: `NUMERIC` and `CATEGORICAL` are the canonical columns that the ETL makes of
either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

MAX_MISSING = 0.05  # share of empty values that a column may have
MAX_DUPLICATES = 0.01  # share of customers that may occur again; beyond it the file was probably joined twice

STATES = [
    "AK", "AL", "AR", "AZ", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "HI", "IA", "ID", "IL", "IN", "KS",
    "KY", "LA", "MA", "MD", "ME", "MI", "MN", "MO", "MS", "MT", "NC", "ND", "NE", "NH", "NJ", "NM", "NV",
    "NY", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VA", "VT", "WA", "WI", "WV", "WY",
]  # fmt: skip

# Canonical name -> name in the encoded form; the order is that of the features.
NUMERIC = {
    "account_length": "Account Length",
    "vmail_message": "VMail Message",
    "day_mins": "Day Mins",
    "day_calls": "Day Calls",
    "eve_mins": "Eve Mins",
    "eve_calls": "Eve Calls",
    "night_mins": "Night Mins",
    "night_calls": "Night Calls",
    "intl_mins": "Intl Mins",
    "intl_calls": "Intl Calls",
    "custserv_calls": "CustServ Calls",
}
CATEGORICAL = {
    "state": "State",
    "area_code": "Area Code",
    "intl_plan": "Int'l Plan",
    "vmail_plan": "VMail Plan",
}


@dataclass(frozen=True)
class Column:
    """What a value of one column may be.

    `kind`: `number` and `whole` are numbers from `low` to `high`; `text` must match `pattern` as a whole,
    which
    `meaning` puts into words. `spellings` are the headers it is known by. Only the label may not be missing.
    """

    name: str
    kind: Literal["number", "whole", "text"]
    low: float = 0
    high: float = 0
    pattern: str = ""
    meaning: str = ""
    spellings: tuple[str, ...] = ()
    required: bool = False

    @property
    def headers(self) -> tuple[str, ...]:
        return self.spellings or (self.name,)

    def problem(self, text: str) -> str | None:
        """What is wrong with a value, in words; None when it is well."""
        if text == "":
            return "the label is missing" if self.required else None
        if self.kind == "text":
            return None if re.fullmatch(self.pattern, text) else f"{text!r} is not {self.meaning}"
        try:
            value = float(text)
        except ValueError:
            return f"{text!r} is not a number"
        if self.kind == "whole" and value.is_integer() is False:
            return f"{text!r} is not a whole number"
        if not self.low <= value <= self.high:
            return f"{text!r} is out of range: {self.low:g} to {self.high:g}"
        return None


@dataclass(frozen=True)
class Form:
    """One accepted form. `groups`: one-hot groups as (name, first column, end), positions counted from 0."""

    name: Literal["raw", "encoded"]
    columns: tuple[Column, ...]
    label: int
    positive: str
    header: bool
    identity: tuple[str, ...]
    groups: tuple[tuple[str, int, int], ...] = ()


def _minutes(name: str) -> Column:
    return Column(name, "number", 0, 31 * 24 * 60)  # what a month has


def _calls(name: str) -> Column:
    return Column(name, "whole", 0, 10_000)


def _charge(name: str) -> Column:
    return Column(name, "number", 0, 100_000)


def _plan(name: str, *spellings: str) -> Column:
    return Column(name, "text", pattern="yes|no", meaning="yes or no", spellings=(name, *spellings))


_RAW = (
    Column("State", "text", pattern="[A-Z]{2}", meaning="a state (two capital letters)"),
    Column("Account Length", "whole", 0, 1_200),
    Column("Area Code", "text", pattern="[0-9]{3}", meaning="an area code (three digits)"),
    Column("Phone", "text", pattern="[0-9]{3}-?[0-9]{4}", meaning="a phone number (382-4657)"),
    _plan("Int'l Plan", "Int l Plan"),
    _plan("VMail Plan"),
    Column("VMail Message", "whole", 0, 10_000),
    *(
        make(f"{part} {what}")
        for part in ("Day", "Eve", "Night", "Intl")
        for make, what in ((_minutes, "Mins"), (_calls, "Calls"), (_charge, "Charge"))
    ),
    _calls("CustServ Calls"),
    Column(
        "Churn?",
        "text",
        pattern=r"True\.|False\.",
        meaning="a known label (True. or False., with the full stop)",
        spellings=("Churn?", "Churn_"),
        required=True,
    ),
)
RAW = Form("raw", _RAW, label=20, positive="True.", header=True, identity=("Area Code", "Phone"))


def _encoded() -> Form:
    ranges = {column.name: column for column in _RAW}
    columns = [
        Column("Churn", "text", pattern="0|1", meaning="a known label (0 or 1)", required=True),
        *(ranges[name] for name in NUMERIC.values()),
    ]
    groups = []
    values = {
        "state": STATES,
        "area_code": ["408", "415", "510"],
        "intl_plan": ["no", "yes"],
        "vmail_plan": ["no", "yes"],
    }
    for canonical, name in CATEGORICAL.items():
        groups.append((name, len(columns), len(columns) + len(values[canonical])))
        columns += [
            Column(f"{name}_{value}", "text", pattern="0|1", meaning="0 or 1") for value in values[canonical]
        ]
    return Form(
        "encoded",
        tuple(columns),
        label=0,
        positive="1",
        header=False,
        identity=tuple(column.name for column in columns[1:]),
        groups=tuple(groups),
    )


ENCODED = _encoded()

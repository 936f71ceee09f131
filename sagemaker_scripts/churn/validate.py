"""Raw churn data against the declared schema: a SageMaker processing job that runs before anything is
trained.

    python3 validate.py --input FOLDER --output FOLDER [--max-missing 0.05] [--message FILE]

FOLDER holds one file, plain or gzipped. Writes `report.json` and exits 0; bad data exits 1 with one
message: what is wrong, where, what to do.

Whole blocks of lines are checked with Arrow, and only a block that fails is read again line by line to say
where. So memory is flat but for 8 bytes a customer, which find those that occur twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import blocks
import numpy as np
import numpy.typing as npt
import opening
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from problems import InvalidData, Problem, refusal
from pyarrow import csv
from schema import MAX_DUPLICATES, MAX_MISSING, Form

EXIT_MESSAGE_BYTES = 1024  # what SageMaker keeps of it


@dataclass
class Report:
    """What report.json holds. `missing`: share of empty values of the columns that have any."""

    file: str
    sha256: str
    form: str | None = None
    rows: int = 0
    columns: list[str] = field(default_factory=list)
    positives: int = 0
    duplicates: int = 0
    missing: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    errors: list[Problem] = field(default_factory=list)


def validate(path: Path, max_missing: float = MAX_MISSING) -> Report:
    """Check one file; the report has errors or none, and never an error without a place and a remedy."""
    with path.open("rb") as stream:
        report = Report(path.name, hashlib.file_digest(stream, "sha256").hexdigest())
    try:
        _read(path, max_missing, report)
    except InvalidData as invalid:
        report.errors = invalid.problems
    return report


def _read(path: Path, max_missing: float, report: Report) -> None:
    missing: Counter[str] = Counter()
    first_missing: dict[str, int] = {}
    keys: list[npt.NDArray[np.uint64]] = []
    form: Form | None = None
    for block in blocks.read(path):
        if form is None:
            form, block = opening.recognise(block)
            report.form, report.columns = form.name, [column.name for column in form.columns]
        if not block.data:
            continue
        table = _parse(block, form)
        if table is None or not _holds(table, form):
            problems = blocks.locate(block, form)
            raise InvalidData(
                problems or [Problem(block.line, None, "the lines from here on cannot be read as CSV")]
            )
        for name, column in zip(table.column_names, table.columns, strict=True):
            if column.null_count:
                missing[name] += column.null_count
                first_missing.setdefault(name, block.line + pc.index(column.is_null(), True).as_py())
        report.positives += pc.sum(pc.equal(table.column(form.label), form.positive)).as_py() or 0
        keys.append(_keys(table, form, report.rows))
        report.rows += len(table)
    if form is None:
        raise refusal("the file is empty: there is neither a header nor a customer", 1)
    report.missing = {name: count / report.rows for name, count in missing.items()} if report.rows else {}
    report.errors = _judge(report, form, first_missing, max_missing)
    _judge_duplicates(report, form, np.concatenate(keys) if keys else np.empty(0, np.uint64))


def _parse(block: blocks.Block, form: Form) -> pa.Table | None:
    """The block as a table of numbers and text; None when it has lines of another length or text in a
    number."""
    try:
        return csv.read_csv(
            pa.py_buffer(block.data),
            read_options=csv.ReadOptions(
                column_names=[column.name for column in form.columns],
                block_size=len(block.data) + 1,
                use_threads=True,
            ),
            parse_options=csv.ParseOptions(newlines_in_values=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types={
                    column.name: pa.string() if column.kind == "text" else pa.float64()
                    for column in form.columns
                },
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None


def _holds(table: pa.Table, form: Form) -> bool:
    """Whether every value is what the schema declares."""
    for spec, column in zip(form.columns, table.columns, strict=True):
        if spec.required and column.null_count:
            return False
        if spec.kind == "text":
            good = pc.match_substring_regex(column, f"^(?:{spec.pattern})$")
        else:
            good = pc.and_(pc.greater_equal(column, spec.low), pc.less_equal(column, spec.high))
            if spec.kind == "whole":
                good = pc.and_(good, pc.equal(column, pc.floor(column)))
        if pc.all(good).as_py() is False:
            return False
    for _, first, end in form.groups:
        ones = sum(pc.equal(column, "1").to_numpy().astype(np.int64) for column in table.columns[first:end])
        if not (ones == 1).all():
            return False
    return True


def _keys(table: pa.Table, form: Form, row: int) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of who each customer is; one who is not wholly known is nobody else. `row` is that of
    the first."""
    identity = table.select(list(form.identity)).to_pandas()
    keys = pd.util.hash_pandas_object(identity, index=False).to_numpy()
    unknown = identity.isna().to_numpy().any(axis=1)
    keys[unknown] = np.arange(row, row + len(keys), dtype=np.uint64)[unknown]
    return keys


def _judge(report: Report, form: Form, first_missing: dict[str, int], max_missing: float) -> list[Problem]:
    """What is wrong with the file as a whole."""
    label = form.columns[form.label].name
    if not report.rows:
        return [Problem(1, None, "the file has a header but no customers")]
    problems = [
        Problem(
            first_missing[name],
            name,
            f"{share:.1%} of the values are missing, more than the {max_missing:.1%} allowed; the "
            "first one is here",
        )
        for name, share in report.missing.items()
        if share > max_missing
    ]
    report.warnings += [
        f"column {name}: {share:.2%} of the values are missing"
        for name, share in report.missing.items()
        if share <= max_missing
    ]
    if report.positives in (0, report.rows):
        only = form.positive if report.positives else {"True.": "False.", "1": "0"}[form.positive]
        problems.append(
            Problem(
                None,
                label,
                f"all {report.rows} customers have the label {only}: with one class only there is "
                "nothing to learn",
            )
        )
    return problems


def _judge_duplicates(report: Report, form: Form, keys: npt.NDArray[np.uint64]) -> None:
    """Count customers that occur again: a few are a warning (the hash split keeps them together), many an
    error."""
    ordered = np.sort(keys)
    report.duplicates = int(np.count_nonzero(ordered[1:] == ordered[:-1]))
    if not report.duplicates:
        return
    who = "the area code and phone" if form.name == "raw" else "every feature"
    text = f"{report.duplicates} of {report.rows} customers have {who} of an earlier one"
    if report.duplicates <= MAX_DUPLICATES * report.rows:
        report.warnings.append(text)
        return
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    again = first[counts > 1].min()
    second = int(np.flatnonzero(keys == keys[again])[1])
    report.errors.append(
        Problem(
            second + 1 + form.header,
            None,
            f"{text}, more than the {MAX_DUPLICATES:.0%} allowed; the first is line "
            f"{again + 1 + form.header} again. Was the file joined with itself?",
        )
    )


def find_file(folder: Path) -> Path:
    """The one file of the input folder. Raises InvalidData when there is none, or more."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if len(files) != 1:
        names = ", ".join(path.name for path in files[:5]) or "none"
        raise refusal(f"the input must be exactly one file, there are {len(files)}: {names}")
    return files[0]


def summary(file: str, problems: list[Problem]) -> str:
    """One message for all the problems of a file."""
    more = f" ({len(problems)} problems in all, see report.json)" if len(problems) > 1 else ""
    return f"{file}: {problems[0]}{more}"


def publish(report: Report, output: Path) -> None:
    """Write report.json, whole or not at all."""
    values: dict[str, Any] = asdict(report)
    output.mkdir(parents=True, exist_ok=True)
    partial = output / ".report.json"
    partial.write_text(json.dumps(values, indent=1), encoding="utf-8")
    partial.replace(output / "report.json")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check raw churn data against the declared schema.")
    parser.add_argument("--input", type=Path, required=True, help="folder that holds exactly one file")
    parser.add_argument("--output", type=Path, required=True, help="folder for report.json")
    parser.add_argument(
        "--max-missing", type=float, default=MAX_MISSING, help="share of empty values allowed"
    )
    parser.add_argument("--message", type=Path, help="file for the error message (SageMaker's ExitMessage)")
    options = parser.parse_args(arguments)
    try:
        report = validate(find_file(options.input), options.max_missing)
    except InvalidData as invalid:
        report = Report("input", "", errors=invalid.problems)
    publish(report, options.output)
    for warning in report.warnings:
        print(f"warning: {report.file}: {warning}")
    if not report.errors:
        print(f"{report.file}: {report.form} form, {report.rows} customers, {report.positives} churned")
        return 0
    message = summary(report.file, report.errors)
    if options.message:
        options.message.parent.mkdir(parents=True, exist_ok=True)
        options.message.write_bytes(message.encode()[:EXIT_MESSAGE_BYTES].decode(errors="ignore").encode())
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""Every kind of bad input has its own message, with line, column and remedy."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import blocks
import pytest
import schema
import validate

Lines = list[list[str]]

HEADER = [column.name for column in schema.RAW.columns]


def customer(number: int) -> list[str]:
    values = {
        "State": "KS", "Account Length": "128", "Area Code": "415", "Phone": f"382-{number:04d}",
        "Int'l Plan": "no", "VMail Plan": "yes", "VMail Message": "25",
        "Day Mins": "265.1", "Day Calls": "110", "Day Charge": "45.07",
        "Eve Mins": "197.4", "Eve Calls": "99", "Eve Charge": "16.78",
        "Night Mins": "244.7", "Night Calls": "91", "Night Charge": "11.01",
        "Intl Mins": "10", "Intl Calls": "3", "Intl Charge": "2.7",
        "CustServ Calls": "1", "Churn?": "True." if number % 5 == 0 else "False.",
    }  # fmt: skip
    return [values[name] for name in HEADER]


def raw(customers: int = 200) -> Lines:
    return [list(HEADER), *(customer(number) for number in range(customers))]


def encoded(customers: int = 200) -> Lines:
    hot = {"State_KS", "Area Code_415", "Int'l Plan_no", "VMail Plan_yes"}
    lines = []
    for number in range(customers):
        numbers = [str((number % 5 == 0 and 1) or 0), str(number), "25", "265.1", *["110"] * 8]
        ones = ["1" if column.name in hot else "0" for column in schema.ENCODED.columns[12:]]
        lines.append([*numbers, *ones])
    return lines


def text(lines: Lines, delimiter: str = ",") -> bytes:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter, lineterminator="\n").writerows(lines)
    return stream.getvalue().encode()


def with_value(lines: Lines, line: int, column: int, value: str) -> Lines:
    """The lines with one value replaced; both count from 1."""
    lines[line - 1][column - 1] = value
    return lines


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., validate.Report]:
    def check(data: bytes, name: str = "customers.csv", **options: float) -> validate.Report:
        path = tmp_path / name
        path.write_bytes(data)
        return validate.validate(path, **options)

    return check


def test_accepts_the_raw_form(check):
    data = text(raw(200))
    report = check(data)
    assert (report.form, report.rows, report.positives) == ("raw", 200, 40)
    assert (report.errors, report.warnings, report.missing, report.duplicates) == ([], [], {}, 0)
    assert report.columns == HEADER
    assert report.sha256 == hashlib.sha256(data).hexdigest()


def test_accepts_the_other_spelling_of_the_headers(check):
    lines = raw()
    lines[0] = [{"Int'l Plan": "Int l Plan", "Churn?": "Churn_"}.get(name, name) for name in HEADER]
    assert check(text(lines)).errors == []


def test_accepts_the_encoded_form(check):
    report = check(text(encoded(200)))
    assert (report.form, report.rows, report.positives, report.errors) == ("encoded", 200, 40, [])


@pytest.mark.parametrize(
    "data", [text(raw()).replace(b"\n", b"\r\n"), text(raw()).rstrip(), text(raw()) + b"\n\n"]
)
def test_accepts_any_line_end(check, data):
    report = check(data)
    assert (report.rows, report.errors) == (200, [])


def test_accepts_gzip_and_whole_numbers_with_a_decimal_point(check):
    lines = with_value(raw(), 7, 9, "110.0")
    report = check(gzip.compress(text(lines)), "customers.csv.gz")
    assert (report.rows, report.errors) == (200, [])


BAD_FILES = {
    "empty file": (b"", "line 1: the file is empty: there is neither a header nor a customer"),
    "only empty lines": (b"\n\n", "line 1: the file is empty: there is neither a header nor a customer"),
    "header only": (text(raw(0)), "line 1: the file has a header but no customers"),
    "empty first line": (b"\n" + text(raw()), "line 1: the file begins with an empty line: remove it"),
    "byte order mark": (
        b"\xef\xbb\xbf" + text(raw()),
        "line 1, column 1: the file begins with a byte order mark (UTF-8): save it without one, "
        "sed '1s/^\\xEF\\xBB\\xBF//' old.csv > new.csv",
    ),
    "UTF-16": (
        text(raw()).decode().encode("utf-16"),
        "line 1, column 1: the file begins with a byte order mark (UTF-16): save it without one, "
        "iconv -f utf-16 -t utf-8 old.csv > new.csv",
    ),
    "Latin-1": (
        text(with_value(raw(), 4, 1, "KX")).replace(b"KX", b"K\xe9"),
        "line 4, column 1: byte 0xE9 is not UTF-8; if the file is in Latin-1, "
        "iconv -f latin1 -t utf-8 old.csv > new.csv",
    ),
    "NUL byte": (
        text(with_value(raw(), 6, 3, "4X5")).replace(b"4X5", b"4\x005"),
        "line 6, column 3: a NUL byte: the file is damaged, or it is no text in UTF-8",
    ),
    "every line quoted": (
        b"".join(b'"%s"\n' % line for line in text(encoded()).splitlines()),
        "line 1, column 1: every line is one quoted field: 70 values within one pair of double "
        "quotes. To a CSV "
        "reader that is one column of text, and a model would learn nothing. Remove the quotes: "
        "sed 's/^\"\\(.*\\)\"[[:space:]]*$/\\1/' old.csv > new.csv",
    ),
    "semicolons": (
        text(raw(), ";"),
        "line 1, column 1: the 21 values are separated by semicolons: export the file with commas",
    ),
    "tabs": (
        text(encoded(), "\t"),
        "line 1, column 1: the 70 values are separated by tabs: export the file with commas",
    ),
    "no delimiter": (
        b"hello\n",
        "line 1: one value, expected 21 with a header (raw) or 70 without (encoded), separated by commas",
    ),
    "another file": (
        b"1,2,3\n4,5,6\n",
        "line 1: 3 values, expected 21 with a header (raw) or 70 without (encoded)",
    ),
    "no header": (
        text(raw()[1:]),
        "line 1: the header is missing: the raw form (21 columns) begins with one",
    ),
    "header on the encoded form": (
        text([[column.name for column in schema.ENCODED.columns], *encoded()]),
        "line 1: the encoded form (70 columns) has no header: tail -n +2 old.csv > new.csv",
    ),
    "unknown column": (
        text(with_value(raw(), 1, 8, "Day Minutes")),
        f"line 1, column 8 (Day Minutes): unknown column 'Day Minutes'; known are {', '.join(HEADER)}",
    ),
    "missing column": (
        text([line[:-2] + line[-1:] for line in raw()]),
        "line 1, column 20 (CustServ Calls): the header lacks the column",
    ),
    "duplicate column": (
        text(with_value(raw(), 1, 9, "Day Mins")),
        "line 1, column 8 (Day Mins): the header names the column 2 times: keep one",
    ),
    "both spellings of a column": (
        text(with_value(raw(), 1, 6, "Int l Plan")),
        "line 1, column 5 (Int'l Plan): the header names the column 2 times: keep one",
    ),
    "columns in another order": (
        text([line[1:] + line[:1] for line in raw()]),
        "line 1, column 1 (Account Length): the columns are in another order: expected 'State'; the order is "
        + ", ".join(HEADER),
    ),
    "text in a number": (
        text(with_value(raw(), 17, 8, "many")),
        "line 17, column 8 (Day Mins): 'many' is not a number",
    ),
    "NaN": (
        text(with_value(raw(), 3, 8, "nan")),
        "line 3, column 8 (Day Mins): 'nan' is out of range: 0 to 44640",
    ),
    "infinity": (
        text(with_value(raw(), 3, 8, "inf")),
        "line 3, column 8 (Day Mins): 'inf' is out of range: 0 to 44640",
    ),
    "negative": (
        text(with_value(raw(), 9, 9, "-1")),
        "line 9, column 9 (Day Calls): '-1' is out of range: 0 to 10000",
    ),
    "fraction": (
        text(with_value(raw(), 9, 9, "1.5")),
        "line 9, column 9 (Day Calls): '1.5' is not a whole number",
    ),
    "unknown plan": (
        text(with_value(raw(), 5, 5, "maybe")),
        "line 5, column 5 (Int'l Plan): 'maybe' is not yes or no",
    ),
    "unknown label": (
        text(with_value(raw(), 12, 21, "True")),
        "line 12, column 21 (Churn?): 'True' is not a known label (True. or False., with the full stop)",
    ),
    "missing label": (
        text(with_value(raw(), 12, 21, "")),
        "line 12, column 21 (Churn?): the label is missing",
    ),
    "one class": (
        text([line for line in raw() if line[-1] != "True."]),
        "column Churn?: all 160 customers have the label False.: with one class only there is "
        "nothing to learn",
    ),
    "other class": (
        text([line for line in encoded() if line[0] == "1"]),
        "column Churn: all 40 customers have the label 1: with one class only there is nothing to learn",
    ),
    "too few values": (text([*raw()[:8], customer(8)[:20], *raw()[9:]]), "line 9: 20 values, expected 21"),
    "too many values": (
        text([*raw()[:8], [*customer(8), "x"], *raw()[9:]]),
        "line 9: 22 values, expected 21",
    ),
    "one quoted line": (
        text(raw()).replace(text([customer(7)]), b'"%s"\n' % text([customer(7)]).strip()),
        "line 9: 1 values (the whole line is in quotes), expected 21",
    ),
    "empty line": (
        text(raw()).replace(b"\n", b"\n\n", 4).replace(b"\n\n", b"\n", 3),
        "line 5: the line is empty: remove it",
    ),
    "line break in quotes": (
        text(with_value(raw(), 5, 1, "K\nS")),
        "line 5: a line break within quotes: a customer is one line",
    ),
    "quote that does not end": (
        text(raw()).replace(b"382-0197", b'"382-0197'),
        "line 199: not a line of CSV: unexpected end of data",
    ),
    "label of the encoded form": (
        text(with_value(encoded(), 2, 1, "True.")),
        "line 2, column 1 (Churn): 'True.' is not a known label (0 or 1)",
    ),
    "two ones in a group": (
        text(with_value(encoded(), 31, 13, "1")),
        "line 31, column 13 to 63: the one-hot group State has 2 ones, expected exactly one",
    ),
    "no one in a group": (
        text(with_value(encoded(), 31, 67, "0")),
        "line 31, column 67 to 68: the one-hot group Int'l Plan has 0 ones, expected exactly one",
    ),
    "a half in a group": (
        text(with_value(encoded(), 31, 67, "0.5")),
        "line 31, column 67 (Int'l Plan_no): '0.5' is not 0 or 1",
    ),
    "joined with itself": (
        text(raw() + raw()[1:]),
        "line 202: 200 of 400 customers have the area code and phone of an earlier one, more than the 1% "
        "allowed; the first is line 2 again. Was the file joined with itself?",
    ),
}


@pytest.mark.parametrize(("data", "message"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_file(check, data, message):
    assert str(check(data).errors[0]) == message


@pytest.mark.parametrize("size", [1000, 10_000])
@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_in_small_blocks(check, monkeypatch, name, size):
    """Where a block ends must not change a line number."""
    data, message = BAD_FILES[name]
    monkeypatch.setattr(blocks.read, "__defaults__", (size,))
    found = str(check(data).errors[0])
    assert found == message or name in {
        "quote that does not end",
        "every line quoted",
        "line break in quotes",
    }


def test_truncated_gzip(check):
    data = gzip.compress(text(raw(2000)))
    problem = check(data[: len(data) // 2], "customers.csv.gz").errors[0]
    assert problem.message == "the gzip file is truncated, here or later: upload it again"


def test_damaged_gzip(check):
    data = bytearray(gzip.compress(text(raw(2000))))
    data[-5] ^= 0xFF
    problem = check(bytes(data), "customers.csv.gz").errors[0]
    assert problem.message.startswith("the gzip file is damaged, here or later (")


def test_name_and_content_must_agree(check):
    assert str(check(gzip.compress(text(raw()))).errors[0]) == (
        "the file is compressed with gzip, but its name does not end in .gz: rename it"
    )
    assert str(check(text(raw()), "customers.csv.gz").errors[0]) == (
        "the name ends in .gz, but the file is not compressed with gzip: rename it"
    )


def test_share_of_missing_values(check):
    lines = raw(200)
    for line in range(3, 3 + 10):
        with_value(lines, line, 8, "")
    report = check(text(lines))
    assert report.errors == []
    assert report.missing == {"Day Mins": 0.05}
    assert report.warnings == ["column Day Mins: 5.00% of the values are missing"]
    assert [str(problem) for problem in check(text(lines), max_missing=0.04).errors] == [
        "line 3, column Day Mins: 5.0% of the values are missing, more than the 4.0% allowed; the "
        "first one is here"
    ]


def test_few_duplicates_are_a_warning(check):
    report = check(text([*raw(200), customer(7)]))
    assert (report.errors, report.duplicates) == ([], 1)
    assert report.warnings == ["1 of 201 customers have the area code and phone of an earlier one"]


def test_customers_without_a_phone_are_not_duplicates(check):
    lines = raw(200)
    for line in (5, 6, 7):
        with_value(lines, line, 4, "")
    assert check(text(lines)).duplicates == 0


def test_lists_the_first_problems_only(check):
    report = check(text([*raw(0), *(["?"] * 21 for _ in range(100))]))
    assert len(report.errors) == blocks.PROBLEMS
    assert report.errors[0] == validate.Problem(2, "1 (State)", "'?' is not a state (two capital letters)")


def run(tmp_path: Path, *files: tuple[str, bytes]) -> tuple[int, dict, str]:
    folder = tmp_path / "raw"
    folder.mkdir()
    for name, data in files:
        (folder / name).write_bytes(data)
    message = tmp_path / "out" / "message"
    code = validate.main(
        ["--input", str(folder), "--output", str(tmp_path / "output"), "--message", str(message)]
    )
    report = json.loads((tmp_path / "output" / "report.json").read_text())
    assert sorted(path.name for path in (tmp_path / "output").iterdir()) == ["report.json"]
    return code, report, message.read_text() if message.exists() else ""


def test_job_on_good_data(tmp_path, capsys):
    code, report, message = run(tmp_path, ("customers.csv", text(raw(200))))
    assert (code, message, report["rows"], report["errors"]) == (0, "", 200, [])
    assert capsys.readouterr().out == "customers.csv: raw form, 200 customers, 40 churned\n"


def test_job_on_bad_data(tmp_path, capsys):
    lines = with_value(with_value(raw(), 17, 8, "many"), 18, 9, "-1")
    code, report, message = run(tmp_path, ("customers.csv", text(lines)))
    place = "customers.csv: line 17, column 8 (Day Mins)"
    expected = f"{place}: 'many' is not a number (2 problems in all, see report.json)"
    assert (code, message) == (1, expected)
    assert capsys.readouterr().err.splitlines()[-1] == expected
    assert report["errors"] == [
        {"line": 17, "column": "8 (Day Mins)", "message": "'many' is not a number"},
        {"line": 18, "column": "9 (Day Calls)", "message": "'-1' is out of range: 0 to 10000"},
    ]


def test_job_wants_one_file(tmp_path):
    code, _report, message = run(tmp_path, ("a.csv", b"x"), ("b.csv", b"y"))
    assert (code, message) == (1, "input: the input must be exactly one file, there are 2: a.csv, b.csv")


def test_published_raw_data(shared_data):
    report = validate.validate(shared_data / "larose_churn_3333.csv")
    assert (report.form, report.rows, report.positives) == ("raw", 3333, 483)
    assert (report.errors, report.warnings) == ([], [])


def test_published_encoded_data(shared_data):
    report = validate.validate(shared_data / "mm_validation.csv")
    assert (report.form, report.rows, report.positives, report.errors) == ("encoded", 666, 110, [])


def test_the_quoted_file_never_trains_and_the_remedy_works(shared_data, tmp_path, check):
    quoted = shared_data / "mwaa_customer-churn.csv"
    (problem,) = validate.validate(quoted).errors
    assert str(problem).startswith("line 1, column 1: every line is one quoted field: 70 values")
    # What the sed of the message does.
    repaired = b"".join(line.rstrip()[1:-1] + b"\n" for line in quoted.read_bytes().splitlines())
    report = check(repaired)
    assert (report.form, report.rows, report.positives, report.errors) == ("encoded", 2999, 435, [])

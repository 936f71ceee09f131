"""The demo's input and output, and the test runner's summary."""

from __future__ import annotations

import pytest

from workbench import demo, test
from workbench.results import print_figures, print_verdict
from workbench.settings import WorkbenchError


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"x", r"the name must end in \.csv, \.csv\.gz, \.txt"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"PK\x03\x04\x00\x00", "is not a text file"),
    ],
)
def test_what_cannot_be_customers_is_refused_before_anything_starts(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WorkbenchError, match=message):
        demo.check_data(path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path):
    with pytest.raises(WorkbenchError, match="there is no such file"):
        demo.check_data(tmp_path / "customers.csv")
    with pytest.raises(WorkbenchError, match="is not a file"):
        demo.check_data(tmp_path)


@pytest.mark.parametrize("name", ["customers.csv", "customers.csv.gz", "churn.txt"])
def test_customer_files_pass(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x1f\x8b\x00" if name.endswith(".gz") else b"State,Phone\n")
    demo.check_data(path)


def test_the_figures_are_printed_as_the_readme_promises(capsys):
    metrics = {
        "confusion": {"tp": 39, "fp": 4, "fn": 9, "tn": 282},
        "accuracy": 321 / 334,
        "auc": 0.92345,
        "auc_interval": {"low": 0.87, "high": 0.96},
        "cost_curve": {"minimum": {"threshold": 0.46, "cost": 8400.0}},
    }
    holdout = {"rows": 334, "positives": 48}
    print_figures({"challenger": metrics, "holdout": holdout, "threshold": 0.5})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["churned", "39", "9"] in lines
    assert ["stayed", "4", "282"] in lines
    assert ["hold-out", "AUC", "0.923", "[0.870,", "0.960]"] in lines
    assert ["accuracy", "0.961"] in lines
    assert ["cost", "minimum", "$8,400", "at", "threshold", "0.46"] in lines


def test_a_refusal_is_printed_with_its_reasons(capsys):
    print_verdict({"approved": False, "against": "champion", "reasons": ["worse [by far]"], "warnings": []})
    out = capsys.readouterr().out
    assert "challenger refused (against the champion)" in out
    assert "worse [by far]" in out


def test_the_summary_counts_errors_as_failures(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3"/>'
        '<testsuite tests="1" failures="0" errors="0" skipped="0"/></testsuites>'
    )
    assert str(test.read_report(report)) == "5 passed, 3 failed, 3 skipped"
    assert str(test.read_report(tmp_path / "none.xml")) == "0 passed, 0 failed, 0 skipped"


def test_every_test_file_belongs_to_an_environment():
    covered = [f"tests/{directory}" for _, directories in test.DIRECTORIES for directory in directories]
    covered.append("tests/browser")  # run by tests/end_to_end/test_user_interface.py, on its stack
    files = [path.relative_to(test.ROOT).as_posix() for path in (test.ROOT / "tests").rglob("test_*.py")]
    assert len(files) > 5
    assert [name for name in files if not name.startswith(tuple(f"{place}/" for place in covered))] == []

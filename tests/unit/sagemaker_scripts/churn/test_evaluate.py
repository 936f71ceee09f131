"""The evaluation as a job: challenger alone, with a champion, and what it refuses."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import evaluate
import models
import numpy as np
import pandas as pd
import pytest
import xgboost

NUMERIC = ["day_mins", "custserv_calls"]
ENCODER = {
    "version": 1,
    "label": "churn",
    "numeric": NUMERIC,
    "categorical": {"intl_plan": ["no", "yes"]},
    "feature_names": ["Day Mins", "CustServ Calls", "Int'l Plan_no", "Int'l Plan_yes"],
}
PROFILE = {
    "class_balance": pd.DataFrame({"rows": [4000], "churners": [800], "churn_rate": [0.2]}),
    "missing": pd.DataFrame({"column_name": ["day_mins", "state"], "missing_share": [0.01, 0.0]}),
    "churn_by_plan": pd.DataFrame(
        {
            "intl_plan": ["no", "yes"],
            "vmail_plan": ["no", "<b>"],
            "rows": [3600, 400],
            "churn_rate": [0.1, 0.4],
        }
    ),
    "comparison": pd.DataFrame(
        {"statistic": ["rows", "churn_rate"], "current": [4000.0, 0.2], "previous": [3900.0, 0.12]}
    ),
}


def customers(rows: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "row_number": np.arange(rows),
            "customer_key": [f"{number:032x}" for number in range(rows)],
            "day_mins": np.round(draw.normal(180, 50, rows), 1),
            "custserv_calls": draw.poisson(1.5, rows),
            "intl_plan": np.where(draw.random(rows) < 0.1, "yes", "no"),
        }
    )
    logit = -3 + (frame["day_mins"] - 180) / 25 + 2 * (frame["intl_plan"] == "yes")
    frame["churn"] = (draw.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)
    return frame


def write_model(folder: Path, features: np.ndarray, labels: np.ndarray, rounds: int) -> None:
    booster = xgboost.train(
        {"max_depth": 3, "eta": 0.3, "objective": "binary:logistic", "nthread": 1},
        xgboost.DMatrix(features, labels),
        rounds,
    )
    write_archive(folder, {"xgboost-model": bytes(booster.save_raw("ubj"))})


def write_archive(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("inputs")
    for name in ("holdout", "encoder"):
        (root / name).mkdir()
    (root / "encoder" / "encoder.json").write_text(json.dumps(ENCODER))
    holdout = customers(600, 1)
    holdout.loc[3, "day_mins"] = np.nan
    # Two part files, the later rows first.
    holdout[300:].to_parquet(root / "holdout" / "part-00000.snappy.parquet")
    holdout[:300].to_parquet(root / "holdout" / "part-00001.snappy.parquet")
    train = customers(3000, 2)
    features = evaluate.Encoder.load(root / "encoder").encode(train)
    write_model(root / "challenger", features, train["churn"].to_numpy(), 30)
    write_model(root / "champion", features, train["churn"].to_numpy(), 2)
    return root


@pytest.fixture
def job(inputs, tmp_path, monkeypatch):
    def job(*more: str, holdout: str = "holdout") -> Path:
        output = tmp_path / "output"
        monkeypatch.setattr(
            evaluate, "read_profile", lambda queries: {name: PROFILE[name] for name in queries}
        )
        folders = {"--holdout": holdout, "--encoder": "encoder", "--challenger": "challenger"}
        arguments = [part for option, name in folders.items() for part in (option, str(inputs / name))]
        code = evaluate.main(
            [*arguments, "--output", str(output), "--message", str(tmp_path / "message"), *more]
        )
        assert code == (0 if (output / "evaluation.json").exists() else 1)
        return output

    return job


def champion(inputs: Path) -> list[str]:
    return ["--champion", str(inputs / "champion"), "--champion-encoder", str(inputs / "encoder")]


def read(output: Path) -> dict:
    return json.loads((output / "evaluation.json").read_text())


def test_golden(job):
    """A seeded case: the numbers change only with the data, the model or the definition of a metric."""
    lineage = ("--lineage", '{"run_key": "ma', 'nual-1"}', "--training-job", "job-1")
    found = read(job("--replicates", "500", *lineage))
    assert found["version"] == 1
    assert found["lineage"] == {"run_key": "manual-1", "training_job": "job-1"}
    assert found["holdout"] == {"rows": 600, "positives": 89}
    assert found["threshold"] == 0.5
    assert found["costs"] == {
        "false_negative": 500.0, "false_positive": 100.0, "true_positive": 100.0, "true_negative": 0.0,
    }  # fmt: skip
    assert found["champion"] is None
    challenger = found["challenger"]
    assert challenger["confusion"] == {"tp": 37, "fp": 19, "fn": 52, "tn": 492}
    assert challenger["auc"] == pytest.approx(0.8535, abs=1e-4)
    assert challenger["log_loss"] == pytest.approx(0.3078, abs=1e-4)
    assert found["constant"]["probability"] == 89 / 600
    assert found["constant"]["cost"] == 44500.0
    paired = found["paired"]
    assert (paired["against"], paired["confidence"], paired["replicates"], paired["seed"]) == (
        "constant",
        0.95,
        500,
        7,
    )
    assert paired["auc"] is None
    difference = challenger["log_loss"] - found["constant"]["log_loss"]
    assert paired["log_loss"]["estimate"] == pytest.approx(difference)
    assert paired["log_loss"]["low"] < difference < paired["log_loss"]["high"] < 0
    assert challenger["auc_interval"]["low"] < challenger["auc"] < challenger["auc_interval"]["high"]
    assert found["data_checks"] == []


def test_the_same_seed_gives_the_same_evaluation(job, inputs):
    first = (job(*champion(inputs)) / "evaluation.json").read_bytes()
    page = (job(*champion(inputs)) / "report.html").read_bytes()
    output = job(*champion(inputs))
    assert (output / "evaluation.json").read_bytes() == first
    assert (output / "report.html").read_bytes() == page


def test_champion_sees_the_same_resamples(job, inputs):
    found = read(job(*champion(inputs)))
    paired = found["paired"]
    assert paired["against"] == "champion"
    for metric in ("auc", "log_loss"):
        estimate = found["challenger"][metric] - found["champion"][metric]
        assert paired[metric]["estimate"] == pytest.approx(estimate)
        assert paired[metric]["low"] < estimate < paired[metric]["high"]
    # Paired: the difference is known better than either of the two.
    width = paired["auc"]["high"] - paired["auc"]["low"]
    assert width < 0.8 * (
        found["challenger"]["auc_interval"]["high"] - found["challenger"]["auc_interval"]["low"]
    )


def test_model_against_itself_is_no_difference(job, inputs):
    found = read(job("--champion", str(inputs / "challenger"), "--champion-encoder", str(inputs / "encoder")))
    assert found["paired"]["log_loss"] == {"estimate": 0.0, "low": 0.0, "high": 0.0}


def test_smoke_sample_is_what_the_model_answers(job, inputs):
    output = job()
    lines = [
        list(map(float, line.split(","))) for line in (output / "smoke_sample.csv").read_text().splitlines()
    ]
    values = np.array(lines)
    assert values.shape == (100, 1 + 4)
    assert not np.isnan(values).any()
    again = models.score(models.load(inputs / "challenger"), values[:, 1:])
    np.testing.assert_array_equal(again, values[:, 0])


def test_smoke_sample_is_written_as_callers_write(job):
    """The endpoint captures it, and the data-quality monitor would take 5.0 for another type than 5."""
    for line in (job() / "smoke_sample.csv").read_text().splitlines():
        calls, no, yes = line.split(",")[2:]
        assert calls.isdigit(), line
        assert {no, yes} == {"0", "1"}, line


def test_scores_of_every_row(job, inputs):
    table = pd.read_parquet(job(*champion(inputs)) / "scores.parquet")
    assert table.columns.tolist() == ["row_number", "customer_key", "churn", "challenger", "champion"]
    assert table["row_number"].tolist() == list(range(600))


def test_data_checks(job):
    found = read(job("--profile", '{"class_balance": "q1", "missing": "q2", "comparison": "q3"}'))
    assert found["data_checks"] == [
        {"name": "class_balance", "value": 0.2, "previous": None, "limit": [0.02, 0.5], "passed": True,
         "message": "20.0% of the customers churned, allowed are 2% to 50%"},
        {"name": "missing", "value": 0.01, "previous": None, "limit": 0.05, "passed": True,
         "message": "at most 1.0% of a column's values are missing (day_mins), allowed are 5%"},
        {"name": "churn_rate_shift", "value": 0.2, "previous": 0.12, "limit": 0.05, "passed": False,
         "message": "the churn rate went from 12.0% to 20.0%, allowed is a change of 5 percentage points"},
    ]  # fmt: skip


def test_page_is_self_contained(job, inputs):
    page = (
        job(*champion(inputs), "--profile", json.dumps(dict.fromkeys(PROFILE, "q"))) / "report.html"
    ).read_text()
    pictures = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(pictures) == 5
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert "currentColor" in picture
    for title in (
        "ROC curve",
        "Precision and recall",
        "Calibration",
        "Cost by threshold",
        "Scores of the challenger",
    ):
        assert f"<h3>{title}</h3>" in page
    for title in ("Class balance", "Against the previous run", "Missing values", "Churn by plan"):
        assert f"<h3>{title}</h3>" in page
    assert "&lt;b&gt;" in page, "what comes from data is escaped"
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert not re.search(r"url\((?!#)|@import", page)
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_page_of_a_first_model(job):
    page = (job() / "report.html").read_text()
    assert "champion" not in page


def test_holdout_that_cannot_be_used(job, inputs, tmp_path, capsys):
    (inputs / "empty").mkdir(exist_ok=True)
    job(holdout="empty")
    expected = f"there is no Parquet file in {inputs / 'empty'}"
    assert capsys.readouterr().err.splitlines()[-1] == expected
    assert (tmp_path / "message").read_text() == expected
    loyal = customers(50, 1).assign(churn=0)
    (inputs / "loyal").mkdir(exist_ok=True)
    loyal.to_parquet(inputs / "loyal" / "part.parquet")
    job(holdout="loyal")
    assert (tmp_path / "message").read_text() == (
        "the hold-out has 50 customers, 0 churned: both classes are needed"
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"other": b"x"}, "holds no xgboost-model"),
        ({"xgboost-model": b"\x80\x04cpickle"}, "is not in XGBoost's own format"),
        ({"../xgboost-model": b"x"}, "holds no xgboost-model"),
    ],
)
def test_archive_that_is_no_model(tmp_path, files, message):
    write_archive(tmp_path, files)
    with pytest.raises(models.UnusableModel, match=message):
        models.load(tmp_path)


def test_link_in_an_archive_is_not_followed(tmp_path):
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo("xgboost-model")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(entry)
    with pytest.raises(models.UnusableModel, match="holds no xgboost-model"):
        models.load(tmp_path)


def test_truncated_archive(tmp_path, inputs):
    data = (inputs / "challenger" / "model.tar.gz").read_bytes()
    (tmp_path / "model.tar.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(models.UnusableModel, match="cannot be read"):
        models.load(tmp_path)


def test_no_archive(tmp_path):
    with pytest.raises(models.UnusableModel, match=r"there is no model\.tar\.gz in"):
        models.load(tmp_path)


def test_model_of_other_features(inputs):
    booster = models.load(inputs / "challenger")
    with pytest.raises(models.UnusableModel, match="the model wants 4 features, the encoder makes 5"):
        models.score(booster, np.zeros((1, 5)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--champion", "x"], "--champion and --champion-encoder go together"),
        (["--costs", "{"], "--costs is not JSON"),
    ],
)
def test_arguments_that_make_no_sense(job, capsys, arguments, message):
    with pytest.raises(SystemExit):
        job(*arguments)
    assert message in capsys.readouterr().err


def test_reference_model_reaches_the_published_figures(shared_data):
    """Reference hyperparameters on the published split."""
    train = np.loadtxt(shared_data / "mm_training-dataset-with-header.csv", delimiter=",", skiprows=1)
    holdout = np.loadtxt(shared_data / "mm_test-dataset.csv", delimiter=",")
    booster = xgboost.train(
        {"max_depth": 5, "eta": 0.2, "gamma": 4, "min_child_weight": 6, "subsample": 0.8, "objective":
        "binary:logistic",
         "seed": 0, "nthread": 2},
        xgboost.DMatrix(train[:, 1:], train[:, 0]),
        100,
    )  # fmt: skip
    labels = holdout[:, 0].astype(np.int64)
    scores = {"challenger": models.score(booster, holdout[:, 1:])}
    found = evaluate.evaluate(labels, scores, threshold=0.5, costs=evaluate.COSTS, replicates=200, seed=7)[
        "challenger"
    ]
    assert found["auc"] >= 0.915
    assert found["accuracy"] >= 0.950
    assert found["confusion"] == {"tp": 36, "fp": 4, "fn": 12, "tn": 282}
    assert found["cost_curve"]["minimum"] == {"threshold": 0.31, "cost": 7900.0}

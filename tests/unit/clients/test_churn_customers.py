"""Generated customers: the same bytes for the same seed, and a signal that a model can learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clients import churn_customers


@pytest.fixture(scope="module")
def frame(tmp_path_factory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("customers") / "customers.csv"
    churn_customers.write(100_000, 11, path)
    return pd.read_csv(path)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name, seed in (("first", 7), ("second", 7), ("third", 8)):
        assert (
            churn_customers.main(["--rows", "5000", "--seed", str(seed), "--output", str(tmp_path / name)])
            == 0
        )
    first, second, third = ((tmp_path / name).read_bytes() for name in ("first", "second", "third"))
    assert first == second
    assert first != third
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second", "third"]


def test_a_larger_file_begins_with_the_smaller_one(tmp_path):
    churn_customers.write(3_000, 7, tmp_path / "small.csv")
    churn_customers.write(churn_customers.CHUNK + 1_000, 7, tmp_path / "large.csv")
    small = (tmp_path / "small.csv").read_bytes()
    large = (tmp_path / "large.csv").read_bytes()
    assert large.startswith(small)
    assert large.count(b"\n") == 1 + churn_customers.CHUNK + 1_000


@pytest.mark.parametrize("rows", [2_999, 10_000_001])
def test_number_of_rows_has_limits(tmp_path, capsys, rows):
    with pytest.raises(SystemExit, match="1"):
        churn_customers.main(["--rows", str(rows), "--output", str(tmp_path / "customers.csv")])
    assert capsys.readouterr().err == (
        f"churn_customers: rows must be between 3,000 and 10,000,000, got {rows:,}\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_columns_are_the_reference_ones(frame):
    assert frame.columns.tolist() == churn_customers.HEADER
    assert frame["State"].nunique() == 51
    assert sorted(frame["Area Code"].unique()) == [408, 415, 510]
    assert frame["Phone"].str.fullmatch(r"\d{3}-\d{4}").all()
    assert not frame["Phone"].duplicated().any()
    assert set(frame["Churn?"]) == {"True.", "False."}


def test_marginals_are_those_of_the_reference_data(frame):
    """Means and standard deviations of Larose's 3333 customers."""
    published = {
        "Account Length": (101.1, 39.8), "Day Mins": (179.8, 54.5), "Day Calls": (100.4, 20.1),
        "Eve Mins": (201.0, 50.7), "Night Mins": (200.9, 50.6), "Intl Mins": (10.24, 2.79),
        "Intl Calls": (4.48, 2.46), "CustServ Calls": (1.56, 1.32), "VMail Message": (8.10, 13.69),
    }  # fmt: skip
    for column, (mean, deviation) in published.items():
        assert frame[column].mean() == pytest.approx(mean, rel=0.02), column
        assert frame[column].std() == pytest.approx(deviation, rel=0.03), column
    assert (frame["Int'l Plan"] == "yes").mean() == pytest.approx(0.097, abs=0.005)
    assert (frame["VMail Plan"] == "yes").mean() == pytest.approx(0.277, abs=0.006)
    assert (frame["Churn?"] == "True.").mean() == pytest.approx(0.145, abs=0.005)
    assert (frame.loc[frame["VMail Plan"] == "no", "VMail Message"] == 0).all()


@pytest.mark.parametrize("part", ["Day", "Eve", "Night", "Intl"])
def test_charges_are_minutes_times_tariff(frame, part):
    expected = frame[f"{part} Mins"] * churn_customers.TARIFF[part]
    assert np.abs(frame[f"{part} Charge"] - expected).max() <= 0.00501


def test_signal_is_learnable(frame):
    import xgboost
    from sklearn.metrics import roc_auc_score

    dropped = ["Churn?", "Phone", "State", "Day Charge", "Eve Charge", "Night Charge", "Intl Charge"]
    features = pd.get_dummies(frame.drop(columns=dropped)).astype(float)
    labels = (frame["Churn?"] == "True.").to_numpy(dtype=int)
    reference = {"max_depth": 5, "eta": 0.2, "gamma": 4, "min_child_weight": 6, "subsample": 0.8}
    booster = xgboost.train(
        {**reference, "objective": "binary:logistic", "nthread": 2},
        xgboost.DMatrix(features[:20_000], labels[:20_000]),
        60,
    )
    auc = roc_auc_score(labels[20_000:], booster.predict(xgboost.DMatrix(features[20_000:])))
    assert 0.92 < auc < 0.96

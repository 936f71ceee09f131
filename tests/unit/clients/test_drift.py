"""Injected drift: what changes, by how much, and that nothing else does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from clients import drift
from clients.churn_customers import customers, write


@pytest.fixture(scope="module")
def raw():
    return pa.concat_tables(customers(4000, 7)).to_pandas()


def changed_columns(before, after):
    return {name for name in before if not before[name].astype(str).equals(after[name].astype(str))}


def churn(table):
    return table["Churn?"].eq("True.").to_numpy()


def test_a_shifted_feature_takes_charge_and_churn_along(raw):
    after = drift.drifted(raw, "shifted_feature", 40, 7)
    assert changed_columns(raw, after) == {"Day Mins", "Day Charge", "Churn?"}
    moved = after["Day Mins"] - raw["Day Mins"]
    assert moved.median() == pytest.approx(40)
    assert np.allclose(after["Day Charge"], after["Day Mins"] * 0.17, atol=0.006)
    assert churn(after).mean() > churn(raw).mean() + 0.05  # heavy daytime use is what drives churn


def test_a_new_category_is_one_that_was_not_there(raw):
    after = drift.drifted(raw, "new_category", 0.3, 7)
    assert changed_columns(raw, after) == {"Area Code", "Churn?"}
    new = after["Area Code"].eq("628")
    assert new.mean() == pytest.approx(0.3, abs=0.03)
    assert "628" not in set(raw["Area Code"].astype(str))
    assert (churn(after) == churn(raw))[~new].all()
    assert churn(after)[new].mean() > churn(raw)[new].mean() + 0.1


def test_a_broken_column_loses_cells_and_no_customer_changes(raw):
    after = drift.drifted(raw, "broken_column", 0.2, 7)
    assert changed_columns(raw, after) == {"Eve Mins"}
    lost = after["Eve Mins"].eq("")
    assert lost.mean() == pytest.approx(0.2, abs=0.03)
    assert after.loc[~lost, "Eve Mins"].equals(raw.loc[~lost, "Eve Mins"].astype(object))


def test_a_changed_concept_shows_in_labels_alone(raw):
    after = drift.drifted(raw, "changed_concept", 1, 7)
    assert changed_columns(raw, after) == {"Churn?"}
    evening, day = (raw[name].to_numpy() > 260 for name in ("Eve Mins", "Day Mins"))
    assert churn(after)[evening & ~day].mean() > 2 * churn(raw)[evening & ~day].mean()
    assert churn(after)[day & ~evening].mean() < 0.5 * churn(raw)[day & ~evening].mean()


@pytest.mark.parametrize(
    ("kind", "size", "message"),
    [
        ("flood", 1, "there is no drift 'flood': shifted_feature, new_category, broken_column"),
        ("new_category", 1.5, "above 0 and at most 1: got 1.5"),
        ("broken_column", 0, "above 0 and at most 1: got 0"),
    ],
)
def test_a_wrong_kind_or_size_is_named(raw, kind, size, message):
    with pytest.raises(ValueError, match=message):
        drift.drifted(raw, kind, size, 7)


def test_the_same_file_gives_the_same_bytes_and_keeps_what_it_does_not_touch(tmp_path):
    source = tmp_path / "customers.csv"
    write(3000, 7, source)
    outputs = [tmp_path / name for name in ("a.csv", "b.csv")]
    for output in outputs:
        assert drift.main(["--kind", "broken_column", "--input", str(source), "--output", str(output)]) == 0
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    before, after = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (source, outputs[0]))
    assert changed_columns(before, after) == {"Eve Mins"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv", "customers.csv"]

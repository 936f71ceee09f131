from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from encoding import Encoder, UnusableEncoder

CONTENT = {
    "version": 1,
    "label": "churn",
    "numeric": ["day_mins", "day_calls"],
    "categorical": {"state": ["KS", "OH"], "intl_plan": ["no", "yes"]},
    "feature_names": ["Day Mins", "Day Calls", "State_KS", "State_OH", "Int'l Plan_no", "Int'l Plan_yes"],
}


def encoder_file(tmp_path, **changes):
    path = tmp_path / "encoder.json"
    path.write_text(json.dumps({**CONTENT, **changes}))
    return path


def test_encodes_numbers_then_categories(tmp_path):
    encoder = Encoder.load(encoder_file(tmp_path))
    frame = pd.DataFrame(
        {
            "churn": [1, 0, 0],
            "state": ["OH", "PR", None],  # seen, unseen, missing
            "intl_plan": ["yes", "no", "no"],
            "day_calls": pd.array([3, None, 5], dtype="Int64"),
            "day_mins": [265.1, 1.5, np.nan],
        }
    )
    np.testing.assert_array_equal(
        encoder.encode(frame),
        [[265.1, 3, 0, 1, 0, 1], [1.5, np.nan, 0, 0, 1, 0], [np.nan, 5, 0, 0, 1, 0]],
    )


def test_loads_from_a_folder(tmp_path):
    assert Encoder.load(encoder_file(tmp_path).parent).width == 6


def test_missing_column(tmp_path):
    with pytest.raises(KeyError, match="day_calls"):
        Encoder.load(encoder_file(tmp_path)).encode(pd.DataFrame({"day_mins": [1.0]}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "has version 2, expected 1"),
        ({"feature_names": ["Day Mins"]}, "names 1 features and describes 6"),
    ],
)
def test_unusable(tmp_path, changes, message):
    with pytest.raises(UnusableEncoder, match=message):
        Encoder.load(encoder_file(tmp_path, **changes))


def test_not_there_or_not_json(tmp_path):
    with pytest.raises(UnusableEncoder, match=r"encoder\.json cannot be read"):
        Encoder.load(tmp_path)
    (tmp_path / "encoder.json").write_text("{")
    with pytest.raises(UnusableEncoder, match=r"encoder\.json cannot be read: Expecting"):
        Encoder.load(tmp_path)

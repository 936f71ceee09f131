"""What the image answers: predictions equal XGBoost's own, and every fault has its status and text."""

# ruff: noqa: E501 - the tables read better with one case a line

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xgboost as xgb

from local_aws.images.xgboost.payload import PayloadError, choose_accept, parse
from local_aws.images.xgboost.predictor import predict
from local_aws.images.xgboost.serve_model import ModelLoadError, load_model

from .conftest import as_csv, rows

VALUES = rows(300)
FEATURES = VALUES[:, 1:].astype(np.float32)


def train(folder, params, labels=None, name="xgboost-model", rounds=10):
    labels = VALUES[:, 0] if labels is None else labels
    booster = xgb.train(params, xgb.DMatrix(FEATURES, label=labels), rounds)
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(booster.save_raw("ubj"))
    return booster


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "model"


@pytest.fixture
def booster(folder):
    return train(folder, {"objective": "binary:logistic", "max_depth": 3})


def scores(answer):
    return np.array([np.float32(line) for line in answer.body.decode().splitlines()], dtype=np.float32)


def test_csv_answers_are_xgboosts_own_scores_to_the_last_bit(folder, booster):
    model = load_model(folder)
    expected = booster.predict(xgb.DMatrix(FEATURES))
    answer = model.answer(as_csv(FEATURES).encode(), "text/csv", "")
    assert (answer.status, answer.content_type) == (200, "text/csv; charset=utf-8")
    assert answer.body.endswith(b"\n")
    assert np.array_equal(scores(answer), expected)
    single = model.answer(as_csv(FEATURES[:1]).strip().encode(), "text/csv", "*/*")
    assert single.body.decode() == f"{expected[0]!s}\n"


def test_models_of_other_sizes_and_refused_rows_leave_nothing_behind_in_any_thread(folder, booster):
    """A thread describes all its rows in one reused matrix."""
    narrow = xgb.train({"max_depth": 2}, xgb.DMatrix(FEATURES[:, :2], label=VALUES[:, 0]), 3)
    wide_scores = booster.predict(xgb.DMatrix(FEATURES))
    narrow_scores = narrow.predict(xgb.DMatrix(FEATURES[:, :2]))

    def ask(start):
        for row in range(start, len(FEATURES), 4):
            assert predict(booster, FEATURES[row : row + 1]).tolist() == [wide_scores[row]]
            with pytest.raises(xgb.core.XGBoostError):
                predict(booster, FEATURES[: row + 1, :3])
            some = FEATURES[row : row + 7, :2]
            assert np.array_equal(predict(narrow, some), narrow_scores[row : row + 7])
        return len(range(start, len(FEATURES), 4))

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(ask, range(4))) == len(FEATURES)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("1,2,3,4", [[1, 2, 3, 4]]),
        ("1;2;3;4\n5;6;7;8\n", [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ("1\t2\t\t4\r\n", [[1, 2, np.nan, 4]]),
        ("1 2 3 4", [[1, 2, 3, 4]]),
        ("1, 2, 3, 4", [[1, 2, 3, 4]]),
        (",2,,\n\n1e3,-2.5,NaN, \n", [[np.nan, 2, np.nan, np.nan], [1000, -2.5, np.nan, np.nan]]),
    ],
)
def test_csv_forms(body, values):
    assert np.array_equal(parse(body.encode(), "text/csv", 4), np.float32(values), equal_nan=True)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ("1 0:5 2:6\n", [[5, np.nan, 6, np.nan]]),
        ("1 1:5 3:6\n", [[5, np.nan, 6, np.nan]]),
        ("0:5 3:7", [[5, np.nan, np.nan, 7]]),
    ],
)
def test_libsvm_forms(body, values):
    assert np.array_equal(parse(body.encode(), "text/x-libsvm", 4), np.float32(values), equal_nan=True)


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "text"),
    [
        ("", "text/csv", "", 204, ""),
        ("1,2,3", "text/csv", "", 400, "Unable to evaluate payload provided: Feature size of csv inference data 3 is not consistent with feature size of trained model 4"),
        ("1,2,3,4\n1,2,3\n", "text/csv", "", 400, "Unable to evaluate payload provided: Feature size of csv inference data 3 (line 2) is not consistent with feature size of trained model 4"),
        ("1 7:1", "text/libsvm", "", 400, "Unable to evaluate payload provided: Feature size of libsvm inference data 7 is larger than feature size of trained model 4"),
        ("1,2,x,4", "text/csv", "", 415, "Loading csv data failed: line 1: could not convert string to float: 'x'."),
        ("1,2,1_0,4", "text/csv", "", 415, "Loading csv data failed: '_' cannot be part of a number."),
        ("a:b", "text/libsvm", "", 415, "Loading libsvm data failed: 'a:b'"),
        ("{}", "application/json", "", 415, "Content-type application/json not supported. Supported content-type is text/csv, text/libsvm, text/x-libsvm."),
        ("1,2,3,4", "text/csv", "image/png", 406, "Accept type image/png is not supported. Please use one of: text/csv, application/json, application/jsonlines."),
    ],
)  # fmt: skip
def test_faults(folder, booster, body, content_type, accept, status, text):
    answer = load_model(folder).answer(body.encode(), content_type, accept)
    assert answer.status == status
    assert answer.body.decode().startswith(text)
    assert bool(answer.body) == bool(text)


def test_bytes_that_are_no_text_are_415():
    with pytest.raises(PayloadError, match="not UTF-8") as error:
        parse(b"\xff\xfe1,2", "text/csv", 2)
    assert error.value.status == 415


def test_accept():
    assert choose_accept("", "text/csv") == "text/csv"
    assert choose_accept("*/*", "application/json") == "application/json"
    assert choose_accept("image/png, application/json; q=0.5", "text/csv") == "application/json"


def test_json_and_json_lines(folder, booster):
    model, body = load_model(folder), as_csv(FEATURES[:2]).encode()
    expected = [{"score": float(str(score))} for score in booster.predict(xgb.DMatrix(FEATURES[:2]))]
    answer = model.answer(body, "text/csv", "application/json")
    assert answer.content_type == "application/json"
    assert json.loads(answer.body) == {"predictions": expected}
    answer = model.answer(body, "text/csv", "application/jsonlines")
    assert [json.loads(line) for line in answer.body.splitlines()] == expected


def test_batch_answers_csv_whatever_is_accepted(folder, booster):
    model = load_model(folder, {"SAGEMAKER_BATCH": "true"})
    assert model.answer(b"1,2,3,4", "text/csv", "application/json").content_type == "text/csv; charset=utf-8"


def test_default_accept_from_the_environment(folder, booster):
    model = load_model(folder, {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "application/json"})
    assert model.answer(b"1,2,3,4", "text/csv", "*/*").content_type == "application/json"
    with pytest.raises(
        ModelLoadError, match="SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT=image/png is not available"
    ):
        load_model(folder, {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "image/png"})


def test_selected_output_of_a_binary_classifier(folder, booster):
    keys = "predicted_label,labels,probability,probabilities,predicted_score"
    model = load_model(folder, {"SAGEMAKER_INFERENCE_OUTPUT": keys})
    score = float(str(booster.predict(xgb.DMatrix(FEATURES[:1]))[0]))
    answer = model.answer(as_csv(FEATURES[:1]).encode(), "text/csv", "application/jsonlines")
    row = json.loads(answer.body)
    assert (row["predicted_label"], row["labels"], row["probability"]) == (int(score > 0.5), [0, 1], score)
    assert row["probabilities"] == [1 - score, score]
    assert np.isnan(row["predicted_score"])
    answer = model.answer(as_csv(FEATURES[:1]).encode(), "text/csv", "text/csv")
    assert answer.body.decode() == f'{int(score > 0.5)},"[0, 1]",{score},"[{1 - score}, {score}]",NaN\n'


def test_multiclass_scores_are_one_list_a_line(folder):
    labels = np.digitize(FEATURES[:, 0], [3, 6])
    booster = train(folder, {"objective": "multi:softprob", "num_class": 3}, labels)
    expected = booster.predict(xgb.DMatrix(FEATURES[:2]))
    lines = (
        load_model(folder).answer(as_csv(FEATURES[:2]).encode(), "text/csv", "").body.decode().splitlines()
    )
    assert np.array_equal(np.float32([json.loads(line) for line in lines]), expected)
    selected = load_model(folder, {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label,probability"})
    answer = selected.answer(as_csv(FEATURES[:1]).encode(), "text/csv", "")
    assert answer.body.decode() == f"{expected[0].argmax()},{expected[0].max()!s}\n"


def test_several_models_are_an_ensemble(folder):
    params = {"objective": "binary:logistic", "max_depth": 3, "subsample": 0.5}
    boosters = [train(folder, {**params, "seed": n}, name=f"xgboost-model-{n}") for n in range(3)]
    each = [booster.predict(xgb.DMatrix(FEATURES)) for booster in boosters]
    body = as_csv(FEATURES).encode()
    assert np.allclose(
        scores(load_model(folder).answer(body, "text/csv", "")), np.mean(each, axis=0), atol=1e-7
    )
    alone = load_model(folder, {"SAGEMAKER_INFERENCE_ENSEMBLE": "false"})
    assert np.array_equal(scores(alone.answer(body, "text/csv", "")), each[0])


def test_a_json_model_is_served_too(folder, booster):
    (folder / "xgboost-model").unlink()
    booster.save_model(folder / "model.json")
    answer = load_model(folder).answer(as_csv(FEATURES).encode(), "text/csv", "")
    assert np.array_equal(scores(answer), booster.predict(xgb.DMatrix(FEATURES)))


def test_models_that_cannot_be_loaded_say_why(folder, booster):
    path = folder / "xgboost-model"
    whole = path.read_bytes()
    for length in (100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelLoadError, match=f"xgboost-model is cut short: it holds {length} bytes"):
            load_model(folder)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ModelLoadError, match=r"xgboost-model is a pickle\. Save it with Booster\.save_model"):
        load_model(folder)
    path.write_bytes(b"not a model")
    with pytest.raises(ModelLoadError, match="xgboost-model is not an XGBoost model in UBJ or JSON format"):
        load_model(folder)
    path.write_bytes(b'{"learner": {}, "version": [3, 2, 0]}')
    with pytest.raises(ModelLoadError, match="Unable to load model: xgboost-model cannot be read"):
        load_model(folder)
    path.rename(folder / "other.txt")
    with pytest.raises(ModelLoadError, match=r"no xgboost-model in the archive; it holds other\.txt\."):
        load_model(folder)

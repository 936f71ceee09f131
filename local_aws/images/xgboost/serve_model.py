"""A trained XGBoost model that answers requests: what SageMaker's XGBoost image does behind /invocations.

Only XGBoost's own formats (UBJ, JSON) are read. Pickled models are refused: they are programs, not data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from local_aws.images.xgboost.model_file import ModelFileError, read_booster
from local_aws.images.xgboost.payload import (
    ACCEPTED,
    CSV,
    Answer,
    Array,
    PayloadError,
    choose_accept,
    encode,
    encode_selected,
    media_type,
    parse,
)
from local_aws.images.xgboost.predictor import predict

CSV_ANSWER = "text/csv; charset=utf-8"  # the content type AWS's image answers with, and captures hold

# Which values each objective can give under SAGEMAKER_INFERENCE_OUTPUT; any other key is NaN.
_LABELLED = ("predicted_label", "labels", "raw_score", "raw_scores")
_PROBABILISTIC = (*_LABELLED, "probability", "probabilities")
SELECTABLE: Mapping[str, tuple[str, ...]] = {
    "binary:logistic": _PROBABILISTIC,
    "binary:logitraw": _LABELLED,
    "binary:hinge": _LABELLED,
    "multi:softmax": _LABELLED,
    "multi:softprob": _PROBABILISTIC,
}
REGRESSION_KEYS = ("predicted_score",)
VOTING = ("multi:softmax", "binary:hinge")


class ModelLoadError(Exception):
    """The model folder holds no model that can be served."""


class Model:
    """One model, or the ensemble of all model files in a folder.

    features: how many the model was trained on. objective: its name, e.g. `binary:logistic`.
    """

    def __init__(self, boosters: list[xgb.Booster], environment: Mapping[str, str]) -> None:
        self.boosters = boosters
        self.features = boosters[0].num_features()
        config = json.loads(boosters[0].save_config())["learner"]
        self.objective: str = config["objective"]["name"]
        self.classes = max(int(config["learner_model_param"]["num_class"]), 2)
        self.batch = environment.get("SAGEMAKER_BATCH", "").lower() == "true"
        self.default_accept = media_type(environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "")) or CSV
        if self.default_accept not in ACCEPTED:
            raise ModelLoadError(
                f"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT={self.default_accept} is not available."
            )
        selected = environment.get("SAGEMAKER_INFERENCE_OUTPUT", "")
        self.keys = [key.strip().lower() for key in selected.split(",") if key.strip()]
        for booster in boosters:
            # One row needs no second thread, and many requests at once are threads enough.
            booster.set_param({"nthread": 1})

    def predict(self, features: Array) -> Array:
        """Shape (rows, features) -> (rows,), or (rows, classes) for multi:softprob."""
        if len(self.boosters) == 1:
            return predict(self.boosters[0], features)
        each = np.stack([predict(booster, features) for booster in self.boosters])
        if self.objective in VOTING:
            return np.apply_along_axis(lambda votes: np.bincount(votes.astype(int)).argmax(), 0, each).astype(
                np.float32
            )
        return each.mean(axis=0, dtype=np.float32)

    def answer(self, body: bytes, content_type: str, accept: str) -> Answer:
        """A request -> an answer with the image's status codes and texts: 200, 204, 400, 406 or 415."""
        if not body:
            return Answer(204, CSV_ANSWER, b"")
        try:
            wanted = CSV if self.batch else choose_accept(accept, self.default_accept)
            predictions = self.predict(parse(body, content_type, self.features))
        except PayloadError as error:
            return Answer(error.status, "text/plain; charset=utf-8", str(error).encode())
        except xgb.core.XGBoostError as error:
            reason = f"Unable to evaluate payload provided: {str(error).splitlines()[0]}"
            return Answer(400, "text/plain; charset=utf-8", reason.encode())
        if self.keys:
            text = encode_selected([self._select(value) for value in predictions], self.keys, wanted)
        else:
            text = encode(predictions, wanted)
        return Answer(200, CSV_ANSWER if wanted == CSV else wanted, text)

    def _select(self, prediction: Any) -> dict[str, Any]:
        valid = SELECTABLE.get(self.objective, REGRESSION_KEYS)
        return {
            key: self._selected_value(key, prediction) if key in valid else float("nan") for key in self.keys
        }

    def _selected_value(self, key: str, prediction: Any) -> Any:
        if key == "labels":
            return list(range(self.classes))
        if self.objective == "multi:softprob":
            scores = [float(str(value)) for value in prediction]
            if key == "predicted_label":
                return int(prediction.argmax())
            return scores if key in ("probabilities", "raw_scores") else max(scores)
        score = float(str(prediction))
        if key == "predicted_label":
            cut = {"binary:logistic": 0.5, "binary:logitraw": 0.0}.get(self.objective)
            return int(score) if cut is None else int(score > cut)
        return [1 - score, score] if key in ("probabilities", "raw_scores") else score


def load_model(folder: Path, environment: Mapping[str, str] | None = None) -> Model:
    """The model in a folder. Several model files are an ensemble unless SAGEMAKER_INFERENCE_ENSEMBLE=false.

    Raises ModelLoadError with the image's `Unable to load model: ...` and the file's name.
    """
    environment = environment or {}
    found = [file for file in sorted(folder.iterdir()) if file.is_file()]
    files = [file for file in found if file.name.startswith("xgboost-model")]
    files = files or [file for file in found if file.suffix in (".json", ".ubj")]
    if not files:
        present = ", ".join(file.name for file in found) or "no file"
        raise ModelLoadError(f"Unable to load model: no xgboost-model in the archive; it holds {present}.")
    if environment.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true").lower() == "false":
        files = files[:1]
    try:
        boosters = [read_booster(file) for file in files]
    except ModelFileError as error:
        raise ModelLoadError(f"Unable to load model: {error}") from error
    sizes = {booster.num_features() for booster in boosters}
    if len(sizes) > 1:
        raise ModelLoadError(f"Unable to load model: the ensemble's models take {sorted(sizes)} features.")
    return Model(boosters, environment)

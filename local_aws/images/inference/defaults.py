"""What each framework's image does where a script leaves a function out."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from sagemaker_inference import content_types
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler


class Defaults(DefaultInferenceHandler):
    """AWS's own defaults: CSV, JSON and NPY in and out; model_fn and predict_fn are the script's to give."""

    def default_input_fn(self, input_data: Any, content_type: str, context: Any = None) -> Any:
        if content_type == content_types.NPY:
            # The toolkit would unpickle whatever a client sends.
            return np.load(BytesIO(input_data), allow_pickle=False)
        return super().default_input_fn(input_data, content_type, context)


class ScikitLearn(Defaults):
    """The estimator's own predict, over float32 rows."""

    def default_input_fn(self, input_data: Any, content_type: str, context: Any = None) -> Any:
        values = super().default_input_fn(input_data, content_type, context)
        if content_type in content_types.UTF8_TYPES:
            values = values.astype(np.float32)
        return values.reshape(1, -1) if values.ndim == 1 else values

    def default_predict_fn(self, data: Any, model: Any, context: Any = None) -> Any:  # noqa: ARG002 - toolkit's
        return model.predict(data)


class XGBoost(Defaults):
    """A booster in XGBoost's own format, a DMatrix, its predictions."""

    def default_model_fn(self, model_dir: str, context: Any = None) -> Any:  # noqa: ARG002 - toolkit's
        from local_aws.images.xgboost.serve_model import load_model

        return load_model(Path(model_dir), os.environ).boosters[0]

    def default_input_fn(self, input_data: Any, content_type: str, context: Any = None) -> Any:
        import xgboost

        values = super().default_input_fn(input_data, content_type, context)
        return xgboost.DMatrix(values.reshape(1, -1) if values.ndim == 1 else values)

    def default_predict_fn(self, data: Any, model: Any, context: Any = None) -> Any:  # noqa: ARG002 - toolkit's
        return model.predict(data, validate_features=False)


BY_REPOSITORY: dict[str, type[Defaults]] = {
    "sagemaker-scikit-learn": ScikitLearn,
    "sagemaker-xgboost": XGBoost,
}

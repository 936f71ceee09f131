"""The shape of AWS's own XGBoost serving stack, to be measured against: a Flask application under gunicorn.

    SAGEMAKER_BASE_DIR=... gunicorn -w 1 -k gthread --threads 4 benchmarks.flask_model:app

The request is read and answered as AWS's container does it: CSV to an array to a DMatrix, `Booster.predict`,
text.
"""

from __future__ import annotations

import numpy as np
import xgboost
from flask import Flask, Response, request

from local_aws.images.container_server import base_folder

app = Flask(__name__)
booster = xgboost.Booster(model_file=base_folder() / "model" / "xgboost-model")
booster.set_param({"nthread": 1})


@app.get("/ping")
def ping() -> Response:
    return Response(status=200)


@app.post("/invocations")
def invocations() -> Response:
    lines = request.get_data().decode("utf-8").strip().split("\n")
    rows = np.array([line.split(",") for line in lines]).astype(np.float32)
    scores = booster.predict(xgboost.DMatrix(rows, nthread=1), validate_features=False)
    return Response("\n".join(map(str, scores.tolist())), content_type="text/csv; charset=utf-8")

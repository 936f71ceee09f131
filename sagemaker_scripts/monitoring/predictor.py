"""Scores for rows: by a live endpoint, by a shadow endpoint that lives as long as the job, or in process.

``endpoint_name`` wins over ``model_name``. A model of the built-in XGBoost is loaded into the job itself, be
it named or given as ``model_path`` (ours: a folder with ``model.tar.gz``): no endpoint has to start, and it
can be explained exactly. Any other model gets a shadow endpoint; its name begins with ``sm-clarify``, as
Clarify's.
"""

from __future__ import annotations

import json
import secrets
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import jmespath
import numpy as np

from .attribution import Array, Predict
from .sources import AnalysisError, Locations

Json = dict[str, Any]

BATCH_ROWS = 2000
ARCHIVE, MODEL = "model.tar.gz", "xgboost-model"
BUILT_IN = "sagemaker-xgboost"
USER_CODE = ("SAGEMAKER_PROGRAM", "SAGEMAKER_SUBMIT_DIRECTORY")


@contextmanager
def predictor(config: Mapping[str, Any]) -> Iterator[Predict]:
    """A prediction function for an ``analysis_config``'s ``predictor`` section."""
    if config.get("endpoint_name"):
        yield _invoker(config["endpoint_name"], config)
        return
    if config.get("model_path"):
        yield load_model(Path(config["model_path"]), Locations())
        return
    if not config.get("model_name"):
        raise AnalysisError("analysis_config: predictor needs endpoint_name, model_name or model_path.")
    client = boto3.client("sagemaker")
    if trees := _built_in(_container(client, config["model_name"])):
        yield trees
        return
    name = f"sm-clarify-{config.get('endpoint_name_prefix') or 'shadow'}-{secrets.token_hex(4)}"[:63]
    client.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": config["model_name"],
                "InitialInstanceCount": int(config.get("initial_instance_count", 1)),
                "InstanceType": config.get("instance_type", "ml.m5.large"),
            }
        ],
    )
    try:
        client.create_endpoint(EndpointName=name, EndpointConfigName=name)
        try:
            client.get_waiter("endpoint_in_service").wait(
                EndpointName=name,
                WaiterConfig={"Delay": 1, "MaxAttempts": 1200},
            )
            yield _invoker(name, config)
        finally:
            client.delete_endpoint(EndpointName=name)
    finally:
        client.delete_endpoint_config(EndpointConfigName=name)


def _container(client: Any, model_name: str) -> Json:
    """What serves a model; of one from the registry, what its version says."""
    container: Json = client.describe_model(ModelName=model_name).get("PrimaryContainer") or {}
    if not (package := container.get("ModelPackageName")):
        return container
    described = client.describe_model_package(ModelPackageName=package)
    containers = described.get("InferenceSpecification", {}).get("Containers", [])
    return {} if len(containers) != 1 else {**containers[0], **container}


def _built_in(container: Json) -> Trees | None:
    """The model, if SageMaker's XGBoost serves it without a script; None if something else does."""
    repository = container.get("Image", "").rpartition("/")[2].partition(":")[0]
    scripted = any(container.get("Environment", {}).get(name) for name in USER_CODE)
    uri = container.get("ModelDataUrl", "")
    if repository != BUILT_IN or scripted or not uri.endswith(".tar.gz"):
        return None
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with tempfile.TemporaryDirectory() as folder:
        boto3.client("s3").download_file(bucket, key, f"{folder}/{ARCHIVE}")
        return load_model(Path(folder), Locations(((Path(folder), uri),)))


def load_model(folder: Path, locations: Locations) -> Trees:
    """The built-in XGBoost's model in ``folder``/model.tar.gz; called with rows it gives probabilities.

    Raises ``AnalysisError`` when there is none, or it is not in XGBoost's own format.
    """
    import xgboost

    archive = folder / ARCHIVE if folder.is_dir() else folder
    try:
        with tarfile.open(archive) as tar:
            # Read, never extracted: nothing in the archive can name a place on this disk.
            found = (one for one in tar if one.isfile() and one.name.removeprefix("./") == MODEL)
            stream = tar.extractfile(next(found))
            content = bytearray(stream.read()) if stream else bytearray()
        booster = xgboost.Booster({"nthread": 1})  # SHAP asks for a few rows at a time: threads only cost
        booster.load_model(content)
    except StopIteration:
        raise AnalysisError(f"{locations.name(archive)} holds no {MODEL}.") from None
    except (tarfile.TarError, EOFError, OSError, zlib.error, xgboost.core.XGBoostError) as error:
        reason = str(error).splitlines()[0]
        raise AnalysisError(f"{locations.name(archive)} cannot be read as a model: {reason}.") from error

    return Trees(booster)


@dataclass(frozen=True)
class Trees:
    """A built-in XGBoost model: scores rows, and explains them exactly instead of by samples."""

    booster: Any

    def __call__(self, rows: Array) -> Array:
        import xgboost

        scores: Array = self.booster.predict(xgboost.DMatrix(rows, nthread=1), validate_features=False)
        return scores.astype(np.float64)

    def log_odds_shap(self, rows: Array, reference: Array) -> tuple[Array, float]:
        """Interventional SHAP values of the log odds, shape (rows, features), and the expected value.

        Kernel SHAP of the logit with the same reference converges to them. For probabilities the library's
        tree explainer rescales, which is not what kernel SHAP finds.
        """
        import shap

        explainer = shap.TreeExplainer(self.booster, reference, feature_perturbation="interventional")
        values: Array = np.asarray(explainer.shap_values(rows, check_additivity=False), dtype=float)
        return values, float(np.atleast_1d(explainer.expected_value)[0])


def _invoker(endpoint: str, config: Mapping[str, Any]) -> Predict:
    client = boto3.client("sagemaker-runtime")
    content_type = config.get("content_type", "text/csv")
    if content_type != "text/csv":
        raise AnalysisError(
            f"predictor.content_type={content_type!r} is not supported: features are sent as text/csv."
        )
    accept = config.get("accept_type", content_type)

    def predict(rows: Array) -> Array:
        parts = []
        for start in range(0, len(rows), BATCH_ROWS):
            batch = rows[start : start + BATCH_ROWS]
            body = "\n".join(",".join(f"{value:.12g}" for value in row) for row in batch)
            answer = client.invoke_endpoint(
                EndpointName=endpoint, ContentType=content_type, Accept=accept, Body=body
            )
            scores = parse_scores(answer["Body"].read().decode(), accept, config)
            if len(scores) != len(batch):
                raise AnalysisError(
                    f"Endpoint {endpoint} answered {len(scores)} scores for {len(batch)} rows."
                )
            parts.append(scores)
        return np.concatenate(parts)

    return predict


def parse_scores(text: str, accept: str, config: Mapping[str, Any]) -> Array:
    """Probabilities out of an answer.

    CSV by column (``probability``: an index, 0 when absent), JSON by JMESPath.
    """
    where = config.get("probability", config.get("label"))
    if accept.startswith("text/csv"):
        lines = [line.split(",") for line in text.strip().splitlines()]
        if len(lines) == 1 and where is None:
            return np.asarray(lines[0], dtype=float)  # one line of scores, as XGBoost's server may answer
        column = int(where or 0)
        return np.asarray([float(cells[column]) for cells in lines])
    if where is None:
        raise AnalysisError(
            "predictor.probability is not set: a JSON answer needs the JMESPath of the score."
        )
    if accept.startswith("application/jsonlines"):
        found = [jmespath.search(str(where), json.loads(line)) for line in text.strip().splitlines()]
    else:
        found = jmespath.search(str(where), json.loads(text))
    return np.asarray(found, dtype=float)

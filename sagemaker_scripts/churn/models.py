"""Loads a trained booster from a SageMaker model folder and scores with it. Models are data here, never
pickles."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xgboost

ARCHIVE = "model.tar.gz"
MODEL = "xgboost-model"


class UnusableModel(ValueError):
    """The folder does not hold a model of the built-in XGBoost; the message says what is wrong."""


def load(folder: Path) -> xgboost.Booster:
    """The booster in `folder`/model.tar.gz, as the built-in algorithm writes it. Raises UnusableModel."""
    archive = folder / ARCHIVE if folder.is_dir() else folder
    if not archive.is_file():
        raise UnusableModel(f"there is no {ARCHIVE} in {folder}")
    try:
        with tarfile.open(archive) as tar:
            # Read, never extracted: nothing in the archive can name a place on this disk.
            member = next(
                (item for item in tar if item.isfile() and item.name.removeprefix("./") == MODEL), None
            )
            stream = tar.extractfile(member) if member else None
            content = bytearray(stream.read()) if stream else None
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise UnusableModel(f"{archive} cannot be read: {error}") from None
    if content is None:
        raise UnusableModel(f"{archive} holds no {MODEL}")
    booster = xgboost.Booster()
    try:
        booster.load_model(content)
    except xgboost.core.XGBoostError as error:
        raise UnusableModel(
            f"{MODEL} in {archive} is not in XGBoost's own format: {str(error).splitlines()[0]}"
        ) from None
    return booster


def score(booster: xgboost.Booster, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Probabilities of the positive class, one a row. Raises UnusableModel when the widths differ."""
    if booster.num_features() != features.shape[1]:
        raise UnusableModel(
            f"the model wants {booster.num_features()} features, the encoder makes {features.shape[1]}"
        )
    return booster.predict(xgboost.DMatrix(features), validate_features=False).astype(np.float64)

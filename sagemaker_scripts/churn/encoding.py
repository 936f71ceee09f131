"""Applies encoder.json, which the ETL made from a training split: customers in, the model's features out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

VERSION = 1


class UnusableEncoder(ValueError):
    """encoder.json is missing or not of this version; the message names the file."""


@dataclass(frozen=True)
class Encoder:
    """Numbers as they are, then one column for each category that training saw.

    `categorical`: column -> its categories, in order. `feature_names` are the published headers, one a
    feature.
    """

    numeric: tuple[str, ...]
    categorical: Mapping[str, tuple[str, ...]]
    feature_names: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> Encoder:
        """Read encoder.json, or the one in a folder. Raises UnusableEncoder."""
        file = path / "encoder.json" if path.is_dir() else path
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UnusableEncoder(f"encoder {file} cannot be read: {error}") from None
        if content.get("version") != VERSION:
            raise UnusableEncoder(
                f"encoder {file} has version {content.get('version')!r}, expected {VERSION}"
            )
        encoder = cls(
            tuple(content["numeric"]),
            {name: tuple(categories) for name, categories in content["categorical"].items()},
            tuple(content["feature_names"]),
        )
        if len(encoder.feature_names) != encoder.width:
            raise UnusableEncoder(
                f"encoder {file} names {len(encoder.feature_names)} features and describes {encoder.width}"
            )
        return encoder

    @property
    def width(self) -> int:
        """How many features there are."""
        return len(self.numeric) + sum(map(len, self.categorical.values()))

    def encode(self, customers: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Features of shape (customers, width). A missing number is NaN; a category that training never
        saw, or a missing one, has a 0 in each of its columns. Raises KeyError when a column is missing."""
        features = np.zeros((len(customers), self.width))
        for place, name in enumerate(self.numeric):
            features[:, place] = customers[name].to_numpy(dtype=float, na_value=np.nan)
        first = len(self.numeric)
        for name, categories in self.categorical.items():
            # -1 for what is not among the categories.
            codes = pd.Categorical(customers[name], categories=list(categories)).codes
            known = np.flatnonzero(codes >= 0)
            features[known, first + codes[known]] = 1
            first += len(categories)
        return features

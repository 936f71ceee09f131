"""A booster's prediction of dense rows, straight from XGBoost's C API.

`Booster.inplace_predict` looks at the kind of its data, and describes its result by building classes and
JSON: more work than predicting one row. This asks the same function (XGBoosterPredictFromDense) with nothing
around it, so the values are the same to the last bit.

The function takes a proxy matrix to describe the rows in, and makes one itself when it gets none. That reads
files of the cgroup, for a default number of threads: as long as the rest of predicting one row. So each
thread keeps one.
"""

from __future__ import annotations

import ctypes
import json
import threading

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

_CONFIG = json.dumps(
    {
        "type": 0,
        "training": False,
        "iteration_begin": 0,
        "iteration_end": 0,
        "missing": float("nan"),
        "strict_shape": False,
        "cache_id": 0,
    }
).encode()
_FLOAT = np.dtype(np.float32)
_predict = xgb.core._LIB.XGBoosterPredictFromDense


class _Thread(threading.local):
    """What a thread reuses from one prediction to the next."""

    def __init__(self) -> None:
        self.proxy = xgb.core._ProxyDMatrix()


_thread = _Thread()


def predict(booster: xgb.Booster, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shape (rows, features) -> (rows,), or (rows, classes) where each class has a score.

    Raises XGBoostError, e.g. for another number of features.
    """
    features = np.ascontiguousarray(features, dtype=_FLOAT)
    rows, columns = features.shape
    address = features.__array_interface__["data"][0]
    described = f'{{"data":[{address},true],"shape":[{rows},{columns}],"typestr":"<f4","version":3}}'
    shape, dims = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
    values = ctypes.POINTER(ctypes.c_float)()
    xgb.core._check_call(
        _predict(
            booster.handle,
            described.encode(),
            _CONFIG,
            _thread.proxy.handle,
            ctypes.byref(shape),
            ctypes.byref(dims),
            ctypes.byref(values),
        )
    )
    sizes = shape[: dims.value]
    count = 1
    for size in sizes:
        count *= size
    # A copy: the memory is XGBoost's, and the next prediction of this thread writes over it.
    copied = ctypes.string_at(values, count * _FLOAT.itemsize)
    return np.frombuffer(copied, dtype=_FLOAT).reshape(sizes)

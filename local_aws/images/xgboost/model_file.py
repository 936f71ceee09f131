"""Reading a model file that may be anything: whole or cut short, a booster or a pickle."""

from __future__ import annotations

from pathlib import Path

import xgboost as xgb

PICKLE_PROTOCOL = b"\x80"
# XGBoost writes `{"learner": ..., "version": [3, 2, 0]}` in both of its formats, UBJ and JSON, in this order.
LAST_KEY = b"version"
LAST_BYTES = 64


class ModelFileError(Exception):
    """The file holds no model that can be used; the message says why and names it."""


def read_booster(path: Path) -> xgb.Booster:
    """The booster in a UBJ or JSON file.

    The end of the file is looked at first: given a UBJ file that was cut short, XGBoost may take other bytes
    for a length and ask for all of the machine's memory.
    """
    content = path.read_bytes()
    if content[:1] == PICKLE_PROTOCOL:
        raise ModelFileError(
            f"{path.name} is a pickle. Save it with Booster.save_model instead: unpickling would run "
            "whatever code it holds."
        )
    if content[:1] != b"{":
        raise ModelFileError(f"{path.name} is not an XGBoost model in UBJ or JSON format.")
    tail = content[-LAST_BYTES:].rstrip()
    if LAST_KEY not in tail or not tail.endswith(b"}"):
        raise ModelFileError(f"{path.name} is cut short: it holds {len(content)} bytes and no end.")
    booster = xgb.Booster()
    try:
        booster.load_model(bytearray(content))
    except (xgb.core.XGBoostError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path.name} cannot be read: {str(error).splitlines()[0]}") from error
    return booster

"""`python -m local_aws.images.xgboost.train`: what `<image> train` is on AWS.

Reads and writes the container's folders under SAGEMAKER_BASE_DIR (default /opt/ml). Exit code 0, or 1
with the reason in `output/failure` and as the last line of stderr.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from local_aws.images.xgboost.errors import TrainingError


def main() -> int:
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    logging.basicConfig(
        stream=sys.stdout,
        level=logging.INFO,
        format="[%(asctime)s:%(levelname)s] %(message)s",
        datefmt="%F:%T",
    )
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        return _run(base)
    except TrainingError as error:
        return _fail(base, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it was, the job must say so in its failure file
        traceback.print_exc()
        return _fail(base, f"{type(error).__name__}: {error}")


def _run(base: Path) -> int:
    config = base / "input" / "config"
    hyperparameters = _read(config / "hyperparameters.json")
    if "sagemaker_program" in hyperparameters:
        # User code is run by the toolkit, in an interpreter that has everything the image has.
        os.execv(sys.executable, [sys.executable, "-m", "local_aws.images.script_mode"])  # noqa: S606
    checkpoints = _read(config / "checkpointconfig.json").get("LocalPath")
    stopping = _stop_on_sigterm(hyperparameters.get("save_model_on_termination") == "true")
    with without_scikit_learn():
        fit = importlib.import_module("local_aws.images.xgboost.fit")
    configuration = fit.Configuration(
        hyperparameters=hyperparameters,
        channels=_read(config / "inputdataconfig.json"),
        checkpoints=_in_base(checkpoints, base) if checkpoints else None,
    )
    fit.fit(base, configuration, stopping)
    return 0


@contextmanager
def without_scikit_learn() -> Iterator[None]:
    """Imports xgboost without scikit-learn, which it wants for its estimator classes only.

    That is 0.6 s instead of 2.9 s, in every training job and every start of an endpoint.
    """
    hidden = "sklearn" not in sys.modules
    if hidden:
        sys.modules["sklearn"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["sklearn"]


def _stop_on_sigterm(save_model: bool) -> threading.Event:
    stopping = threading.Event()

    def stop(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler's signature
        if not save_model:
            os._exit(0)  # see the end of this file
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    return stopping


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def _in_base(path: str, base: Path) -> Path:
    return base / path.removeprefix("/opt/ml/") if path.startswith("/opt/ml/") else Path(path)


def _fail(base: Path, message: str) -> int:
    output = base / "output"
    output.mkdir(parents=True, exist_ok=True)
    (output / "failure").write_text(message)
    print(message.replace("\n", " "), file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    code = main()
    if code:
        # Without a tear-down: a host that leaves a broken collective crashes in XGBoost's destructors.
        os._exit(code)
    sys.exit(code)

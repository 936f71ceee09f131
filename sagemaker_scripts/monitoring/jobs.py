"""The processing jobs' frame: environment and paths in, report files, message and exit code out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from . import publish
from .installing import install_missing
from .sources import AnalysisError

BASE_VARIABLE = "SAGEMAKER_BASE_DIR"


def analyzer(env: Mapping[str, str], base: Path) -> None:
    from .analyzer import run, settings_from
    from .hooks import load

    settings = settings_from(env, base)
    publish.publish(run(settings), settings.output, base, env)
    if settings.postprocessor:
        load(settings.postprocessor, "postprocess_handler")()


def merger(env: Mapping[str, str], base: Path) -> None:
    from .merge import job

    job(env, base)


def clarify(env: Mapping[str, str], base: Path) -> None:
    _install_missing()
    from .clarify import job

    job(env, base)


def baseline(env: Mapping[str, str], base: Path) -> None:
    _install_missing()
    from .baseline import job

    job(env, base)


def _install_missing() -> None:
    """SageMaker's XGBoost image lacks what bias and attribution are computed with."""
    try:
        install_missing(Path(__file__).with_name("requirements.txt"))
    except RuntimeError as error:
        raise AnalysisError(f"{error}. Use an image that has it, or allow the job to reach PyPI.") from error


JOBS: dict[str, Callable[[Mapping[str, str], Path], None]] = {
    "analyzer": analyzer,
    "merger": merger,
    "clarify": clarify,
    "baseline": baseline,
}


def main(arguments: list[str], env: Mapping[str, str] = os.environ) -> int:
    """Run one job. What came of it is one sentence, the exit message, and in the log as well."""
    if len(arguments) != 1 or arguments[0] not in JOBS:
        print(f"usage: monitoring {'|'.join(JOBS)}", file=sys.stderr)
        return 2
    base = Path(env.get(BASE_VARIABLE) or "/opt/ml")
    try:
        JOBS[arguments[0]](env, base)
    except AnalysisError as error:
        publish.write_message(base, str(error))
        print(error, file=sys.stderr)
        return 1
    print(publish.read_message(base))
    return 0

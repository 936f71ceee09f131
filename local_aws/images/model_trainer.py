"""ModelTrainer of SageMaker's SDK 3: training that brings its own driver.

With source code, the SDK uploads a channel `sm_drivers` of shell and Python files, which the request starts
and in which the container's folder /opt/ml is written out. The job's copy of them is moved to where /opt/ml
is here, as the words of a command line are. Standard library only: the API server imports this module.

`python -m local_aws.images.model_trainer FILE` is what the driver calls to install a requirements file.
"""

from __future__ import annotations

import importlib
import os
import shlex
import sys
from pathlib import Path

from local_aws.images.registry import CONTAINER_BASE, PROJECT_ROOT, Command

CHANNEL = "sm_drivers"
INSTALLER = f"{CONTAINER_BASE}/input/data/{CHANNEL}/scripts/install_requirements.py"


def is_driven(argv: list[str]) -> bool:
    """Whether a command starts the SDK's driver."""
    return any(f"{CONTAINER_BASE}/input/data/{CHANNEL}/" in word for word in argv)


def moved(command: Command, base: Path, python: Path) -> Command:
    """The same command where `base` plays /opt/ml; the driver's files below `base` are changed.

    python: the jobs interpreter, which the driver looks for in the PATH.
    Raises ValueError when `base` cannot be written into a shell script as it is.
    """
    if shlex.quote(str(base)) != str(base):
        raise ValueError(
            f"the driver of ModelTrainer is a shell script and cannot run below {base}: use a data "
            "directory whose path has no spaces or special characters"
        )
    for file in (base / "input" / "data" / CHANNEL).rglob("*"):
        if file.suffix in (".sh", ".py"):
            text = file.read_text(encoding="utf-8").replace(INSTALLER, f"-m {__name__}")
            file.write_text(_moved(text, base), encoding="utf-8")
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    places = os.pathsep.join([str(_packages(base)), str(PROJECT_ROOT)])
    argv = [_moved(word, base) for word in command.argv]
    return Command(argv, {**command.env, "PATH": path, "PYTHONPATH": places})


def main(file: Path) -> int:
    """Installs what the environment lacks into the job's own folder. Exit code 1 with pip's reason."""
    installing = importlib.import_module("local_aws.images.installing")
    wanted, options = installing.read_requirements(file)
    try:
        for requirement in installing.install_missing(
            wanted, _packages(Path(os.environ["SAGEMAKER_BASE_DIR"])), options
        ):
            print(f"installed {requirement}", flush=True)
    except RuntimeError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def _moved(text: str, base: Path) -> str:
    return text.replace(CONTAINER_BASE + "/", f"{base}/")


def _packages(base: Path) -> Path:
    return base / "packages"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

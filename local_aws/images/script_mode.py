"""`python -m local_aws.images.script_mode`: training with the user's own script, as the framework images do.

The work is done by AWS's own toolkit, `sagemaker-training`; here it is only told where /opt/ml is. It
downloads `sagemaker_submit_directory`, installs a `requirements.txt`, sets the SM_* variables, runs
`sagemaker_program` with the hyperparameters as arguments, and writes `output/failure` when that fails.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from local_aws.images import installing
from local_aws.images.registry import PROJECT_ROOT


def main() -> None:
    """Exits with the toolkit's code."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    (base / "output").mkdir(parents=True, exist_ok=True)  # without it the toolkit loses a failure
    os.environ.update(
        SAGEMAKER_BASE_DIR=str(base),
        SM_STUDIO_LOCAL_MODE="true",  # no container, no change of user or limits
        SAGEMAKER_TRAINING_MODULE="local_aws.images.script_mode:run_user_script",
        # What a script installs is the job's own: the environment is shared with every other job.
        PIP_TARGET=str(packages(base)),
        PIP_DISABLE_PIP_VERSION_CHECK="1",
    )
    sys.path.insert(0, str(packages(base)))
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        os.environ["S3_ENDPOINT_URL"] = endpoint  # the toolkit's own variable for its uploads
    importlib.import_module("sagemaker_training.trainer").train()


def packages(base: Path) -> Path:
    """Where the job's own packages are."""
    return base / "packages"


def install_requirements(path: str, capture_error: bool = False) -> None:  # noqa: ARG001 - the toolkit's signature
    """In place of the toolkit's: what the environment has is not installed once more.

    Raises the toolkit's InstallRequirementsError, which becomes the job's failure.
    """
    wanted, options = installing.read_requirements(Path(path) / "requirements.txt")
    site = packages(Path(os.environ["SAGEMAKER_BASE_DIR"]))
    try:
        for requirement in installing.install_missing(wanted, site, options):
            print(f"installed {requirement}", flush=True)
    except RuntimeError as error:
        errors = importlib.import_module("sagemaker_training.errors")
        raise errors.InstallRequirementsError(["pip", "install"], return_code=1, output=str(error)) from error


def run_user_script() -> None:
    """What the toolkit calls in place of a framework's entry point; it hands sys.path on to the script."""
    modules: Any = importlib.import_module("sagemaker_training.modules")
    modules.install_requirements = install_requirements
    environment = importlib.import_module("sagemaker_training.environment").Environment()
    sys.path[:] = [entry for entry in sys.path if entry != str(PROJECT_ROOT)]  # no part of the image
    importlib.import_module("sagemaker_training.entry_point").run(
        uri=environment.module_dir,
        user_entry_point=environment.user_entry_point,
        args=environment.to_cmd_args(),
        env_vars=environment.to_env_vars(),
        capture_error=True,  # so that the failure file holds the script's own error
    )


if __name__ == "__main__":
    main()

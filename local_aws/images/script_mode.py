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

from local_aws.images.registry import PROJECT_ROOT


def main() -> None:
    """Exits with the toolkit's code."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    (base / "output").mkdir(parents=True, exist_ok=True)  # without it the toolkit loses a failure
    packages = base / "packages"
    os.environ.update(
        SAGEMAKER_BASE_DIR=str(base),
        SM_STUDIO_LOCAL_MODE="true",  # no container, no change of user or limits
        SAGEMAKER_TRAINING_MODULE="local_aws.images.script_mode:run_user_script",
        # What a script requires is the job's own: the environment is shared with every other job.
        PIP_TARGET=str(packages),
        PIP_DISABLE_PIP_VERSION_CHECK="1",
    )
    sys.path.insert(0, str(packages))
    if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
        os.environ["S3_ENDPOINT_URL"] = endpoint  # the toolkit's own variable for its uploads
    importlib.import_module("sagemaker_training.trainer").train()


def run_user_script() -> None:
    """What the toolkit calls in place of a framework's entry point; it hands sys.path on to the script."""
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

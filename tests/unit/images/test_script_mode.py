"""Script mode: the user's program gets what the framework images give it."""

import json
import os
import subprocess
import sys

import pytest

from .conftest import PROJECT

PROGRAM = """
import argparse, json, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float)
args = parser.parse_args()
if args.learning_rate > 1:
    raise ValueError("learning_rate is too large")
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.json"), "w") as file:
    rows = open(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "a.csv")).read()
    project = [entry for entry in sys.path if entry == os.environ["ROOT"]]
    json.dump({"rate": args.learning_rate, "rows": rows, "path": project}, file)
"""


@pytest.fixture
def run(job):
    def start(module: str, **hyperparameters: str) -> subprocess.CompletedProcess[str]:
        code = job.base / "source"
        code.mkdir()
        (code / "train.py").write_text(PROGRAM)
        job.channel("train", {"a.csv": "1,2\n"})
        job.configure(
            {"sagemaker_program": "train.py", "sagemaker_submit_directory": str(code), **hyperparameters}
        )
        (job.base / "input" / "config" / "resourceconfig.json").write_text(
            json.dumps({"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "lo"})
        )
        for folder in ("model", "output/data"):
            (job.base / folder).mkdir(parents=True)
        return subprocess.run(
            [sys.executable, "-m", module],
            env={
                **os.environ,
                "SAGEMAKER_BASE_DIR": str(job.base),
                "PYTHONPATH": str(PROJECT),
                "ROOT": str(PROJECT),
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_REGION": "us-east-1",
            },
            cwd=job.base,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return start


@pytest.mark.parametrize("module", ["local_aws.images.script_mode", "local_aws.images.xgboost.train"])
def test_the_program_sees_channels_hyperparameters_and_no_project(run, job, module):
    done = run(module, learning_rate="0.1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((job.base / "model" / "model.json").read_text()) == {
        "rate": 0.1,
        "rows": "1,2\n",
        "path": [],
    }


def test_a_failing_program_leaves_its_error_in_the_failure_file(run, job):
    done = run("local_aws.images.script_mode", learning_rate="2")
    assert done.returncode == 1
    # The toolkit reads the program's output in pieces, and writes each piece as a line of its own.
    assert "learning_rate is too large" in job.failure + done.stdout
    assert job.failure.startswith("ExecuteUserScriptError:\nExitCode 1")

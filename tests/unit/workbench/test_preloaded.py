"""What tasks of the local stack inherit, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from workbench.settings import ROOT

PROGRAM = """
import gc, sys
import boto3
import workbench.preloaded
first, second = (boto3.Session()._session.get_component("data_loader") for _ in range(2))
print(first is second, gc.get_freeze_count() > 100_000)
print(sorted({name.split(".")[0] for name in sys.modules} & {"config", "mlops", "dags"}))
"""


def test_sessions_share_what_was_read_and_edited_code_is_read_anew(tmp_path):
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-2:] == ["True True", "[]"]

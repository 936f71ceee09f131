"""tests/browser on this stack: Playwright has a set of its own, and a second stack would cost a minute."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from workbench import environments
from workbench.pictures import browser_environment
from workbench.settings import ROOT

pytestmark = pytest.mark.timeout(900)
CHROMIUM = ("chromium", "google-chrome")


@pytest.mark.skipif(not any(map(shutil.which, CHROMIUM)), reason="Chromium is not installed")
def test_the_run_and_its_report_in_a_browser(pipeline, first, tmp_path):
    evaluation = tmp_path / "evaluation.json"
    evaluation.write_text(json.dumps(first.evaluation))
    environment = browser_environment(pipeline.settings, first.run_id) | {"UI_EVALUATION": str(evaluation)}
    command = [str(environments.require("browser")), "-m", "pytest", "-q", "tests/browser"]
    # Its own words are the best explanation of a failure; pytest captures and shows them.
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout

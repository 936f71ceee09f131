"""`make pictures`: pictures for the documentation, taken in Chromium while a run goes through the stack."""

from __future__ import annotations

import os
import subprocess
import sys

from workbench import environments, provision, stack
from workbench.airflow_api import AirflowApi
from workbench.environments import EnvironmentProblem
from workbench.programs import ADMIN, admin_password
from workbench.settings import ROOT, Settings, WorkbenchError, load

DAG = "churn_training"


def browser_environment(settings: Settings, run_id: str) -> dict[str, str]:
    """What tests/browser reads to find a run: the set `browser` has none of the workbench's libraries."""
    return {
        **os.environ,
        "UI_URL": settings.airflow_url,
        "UI_USER": ADMIN,
        "UI_PASSWORD": admin_password(settings),
        "UI_RUN_ID": run_id,
    }


def main() -> int:
    """Start a run on the newest data and take its pictures; returns the exit code."""
    try:
        settings = load()
        stack.require_running(settings)
        python = environments.require("browser")
        airflow = AirflowApi(settings)
        # A seed of its own, so that the report compares two models and not a model with itself.
        conf = {"code_version": provision.upload_code(settings), "seed": len(airflow.runs(DAG, limit=100))}
        run_id = airflow.trigger(DAG, conf)
    except (WorkbenchError, EnvironmentProblem) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    command = [str(python), "-m", "tests.browser.pictures", str(ROOT / "docs" / "pictures")]
    return subprocess.call(command, cwd=ROOT, env=browser_environment(settings, run_id))


if __name__ == "__main__":
    sys.exit(main())

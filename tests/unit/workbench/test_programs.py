"""What the stack runs, and the version of the code that it gives to jobs."""

from __future__ import annotations

import json
import stat

import pytest

from workbench.programs import (
    admin_password,
    airflow_settings,
    all_programs,
    code_files,
    code_version,
    local_aws_command,
)
from workbench.settings import Settings


@pytest.fixture
def project(tmp_path):
    for name in ("glue_scripts/etl.py", "sagemaker_scripts/churn/train.py", "dags/churn.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(name)
    return tmp_path


def test_the_code_version_follows_what_jobs_run_and_nothing_else(project):
    version = code_version(project)
    assert len(version) == 12
    (project / "dags" / "churn.py").write_text("changed")
    cache = project / "glue_scripts" / "__pycache__"
    cache.mkdir()
    (cache / "etl.pyc").write_bytes(b"compiled")
    assert code_version(project) == version
    (project / "glue_scripts" / "etl.py").write_text("changed")
    assert code_version(project) != version


def test_a_renamed_file_is_another_version(project):
    version = code_version(project)
    old = project / "glue_scripts" / "etl.py"
    old.rename(old.with_name("job.py"))
    assert code_version(project) != version
    assert [path.name for path in code_files(project)] == ["job.py", "train.py"]


def test_every_server_listens_on_the_loopback_interface_only(tmp_path):
    programs = {program.name: program for program in all_programs(Settings(tmp_path))}
    assert set(programs) == {"local-aws", "api-server", "scheduler", "dag-processor", "triggerer"}
    assert "127.0.0.1" in programs["api-server"].argv
    # Their log servers would listen on every interface.
    assert "--skip-serve-logs" in programs["scheduler"].argv
    assert "--skip-serve-logs" in programs["triggerer"].argv


def test_the_ports_reach_airflow(tmp_path):
    variables = airflow_settings(Settings(tmp_path, airflow_port=28080))
    assert variables["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:28080/execution/"
    assert variables["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:28080"


def test_the_hour_of_the_schedules_reaches_local_aws(tmp_path):
    argv = local_aws_command(Settings(tmp_path, monitoring_hour=60))
    assert argv[argv.index("--monitoring-hour") + 1] == "60"


def test_the_password_is_made_once_and_only_the_owner_can_read_it(tmp_path):
    settings = Settings(tmp_path)
    password = admin_password(settings)
    assert len(password) >= 16
    assert admin_password(settings) == password
    path = settings.airflow_home / "passwords.json"
    assert json.loads(path.read_text()) == {"admin": password}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert password not in json.dumps(airflow_settings(settings))

"""Ports and directories, and the errors that name them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from workbench import ports
from workbench.settings import ROOT, WorkbenchError, load


def test_defaults():
    settings = load({})
    assert settings.ports == {"AWS_PORT": 14566, "RUNTIME_PORT": 14567, "AIRFLOW_PORT": 18080}
    assert settings.local_dir == ROOT / ".local"
    assert settings.bucket == "mlops-local-us-east-1-123456789012"


def test_everything_follows_the_environment(tmp_path):
    settings = load({"AIRFLOW_PORT": "28080", "AWS_PORT": "", "MLOPS_LOCAL_DIR": str(tmp_path)})
    assert settings.airflow_url == "http://127.0.0.1:28080"
    assert settings.aws_port == 14566
    assert settings.airflow_home == tmp_path / "airflow"


@pytest.mark.parametrize("text", ["80", "70000", "x", "-1", "1e4", "²"])
def test_what_is_no_port_is_refused(text):
    with pytest.raises(WorkbenchError, match=f"AWS_PORT={text} is not a port"):
        load({"AWS_PORT": text})


@pytest.mark.parametrize("text", ["0", "3601", "1h", "-5"])
def test_an_hour_of_the_schedules_has_up_to_3600_seconds(text):
    assert load({"MONITORING_HOUR": "30"}).monitoring_hour == 30
    with pytest.raises(WorkbenchError, match=f"MONITORING_HOUR={text} is no number of seconds"):
        load({"MONITORING_HOUR": text})


def test_one_port_for_two_settings_is_refused():
    with pytest.raises(WorkbenchError, match="AIRFLOW_PORT and AWS_PORT are both 18080"):
        load({"AWS_PORT": "18080"})


def test_a_taken_port_is_named_with_its_setting_and_its_holder():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        with pytest.raises(WorkbenchError) as refused:
            ports.require_free({"AWS_PORT": ports.free_ports(1)[0], "AIRFLOW_PORT": port})
    message = str(refused.value)
    assert f"AIRFLOW_PORT: port {port} is taken by" in message
    assert f"(process {os.getpid()})" in message
    assert "AWS_PORT:" not in message
    assert ports.is_free(port)


def test_free_ports_differ():
    assert len(set(ports.free_ports(3))) == 3


def test_stack_directory_may_be_relative(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load({"MLOPS_LOCAL_DIR": "here"}).local_dir == Path(tmp_path / "here").resolve()

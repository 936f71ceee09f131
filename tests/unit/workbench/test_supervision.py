"""The stack's processes: started, restarted when they die, and ended with nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from workbench.settings import Settings, WorkbenchError
from workbench.supervision import MARK, Program, Supervisord, clean_environment, render, sweep

SLEEPER = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{SLEEPER}'])"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("logs", "aws"):
        (tmp_path / name).mkdir()
    return Settings(tmp_path)


@pytest.fixture
def supervisord(settings: Settings) -> Iterator[Supervisord]:
    supervisord = Supervisord(settings)
    yield supervisord
    if supervisord.is_running():
        supervisord.stop([])
    sweep(settings, grace_seconds=0.5)


def program(name: str, code: str, group: str = "all", **environment: str) -> Program:
    return Program(name, group, (sys.executable, "-c", code), environment, grace_seconds=1)


def eventually(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def pids(supervisord: Supervisord) -> dict[str, int]:
    return {p["name"]: p["pid"] for p in supervisord.processes() if p["statename"] == "RUNNING"}


def test_a_program_that_dies_is_restarted_and_all_end_on_stop(supervisord, settings):
    supervisord.start([program("one", PARENT), program("stubborn", STUBBORN)])
    eventually(lambda: len(pids(supervisord)) == 2)
    first = pids(supervisord)["one"]
    children = psutil.Process(first).children()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: pids(supervisord).get("one", first) != first)
    alive = [psutil.Process(pid) for pid in pids(supervisord).values()] + children
    manager = psutil.Process(supervisord.rpc.getPID())

    supervisord.stop(["all", "no-such-group"])

    assert not manager.is_running()
    assert not supervisord.is_running()
    sweep(settings)
    assert [process for process in alive if process.is_running()] == []


def test_a_changed_program_is_replaced_and_an_unchanged_one_is_left_alone(supervisord):
    supervisord.start([program("code", SLEEPER, "a", VERSION="1"), program("data", SLEEPER, "b")])
    eventually(lambda: len(pids(supervisord)) == 2)
    before = pids(supervisord)
    changed = [program("code", SLEEPER, "a", VERSION="2"), program("data", SLEEPER, "b")]
    assert supervisord.start(changed) == ["a"]
    eventually(lambda: len(pids(supervisord)) == 2)
    after = pids(supervisord)
    assert after["data"] == before["data"]
    assert after["code"] != before["code"]
    assert psutil.Process(after["code"]).environ()["VERSION"] == "2"


def test_values_reach_a_program_as_they_are(supervisord, settings):
    odd = "100% 'quoted', comma; a=b#c"
    code = "import os, sys, time; print(os.environ['ODD'], sys.argv[1], flush=True); time.sleep(600)"
    argv = (sys.executable, "-c", code, "a b%c")
    supervisord.start([Program("odd", "odd", argv, {"ODD": odd}, grace_seconds=1)])
    log = settings.logs / "odd.log"
    eventually(lambda: log.exists() and log.read_text())
    assert log.read_text() == f"{odd} a b%c\n"


@pytest.mark.parametrize("value", ['a"b', "a\nb", "/home/a #1", "a ;b"])
def test_what_cannot_be_passed_on_is_refused(settings, value):
    with pytest.raises(WorkbenchError, match="supervisord cannot pass on"):
        render(settings, Path("socket"), [program("x", "", NAME=value)])


def test_sweep_ends_what_lost_its_parent(settings):
    marked = subprocess.Popen([sys.executable, "-c", STUBBORN], env={MARK: str(settings.local_dir)})
    job = subprocess.Popen([sys.executable, "-c", SLEEPER], cwd=settings.aws_data)
    foreign = subprocess.Popen([sys.executable, "-c", SLEEPER], env={MARK: "/another/stack"})
    try:
        ended = sweep(settings, grace_seconds=0.5)
        assert not psutil.pid_exists(marked.pid)
        assert not psutil.pid_exists(job.pid)
        assert foreign.poll() is None
        assert {int(line.split()[0]) for line in ended} == {marked.pid, job.pid}
        assert sweep(settings) == []
    finally:
        foreign.kill()
        foreign.wait()


def test_a_real_aws_profile_does_not_reach_the_stack(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    environment = clean_environment()
    assert "AWS_PROFILE" not in environment
    assert "AIRFLOW__CORE__EXECUTOR" not in environment
    assert environment["NO_PROXY"] == "intranet.example,127.0.0.1,localhost"


def test_a_deep_directory_gets_a_short_socket(tmp_path):
    deep = tmp_path / ("d" * 120)
    assert len(str(Supervisord(Settings(deep)).socket)) < 100
    assert Supervisord(Settings(tmp_path)).socket.parent == tmp_path

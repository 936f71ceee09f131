"""The supervisor, with real processes: how each of them ends, what it leaves behind, what it printed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from local_aws.processes import JOB_NICENESS, Exit, Job
from tests.unit.local_aws.home import GROUP, PATIENCE, ROOT, Ending, Home, left_by_a_killed_server


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.supervisor.shutdown()


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def run(home: Home, job: Job) -> Exit:
    ending = Ending()
    home.supervisor.start(job, ending)
    return ending.wait()


def test_a_job_that_ends_well(home: Home) -> None:
    end = run(home, home.job("print('one'); print('two')"))
    assert end == Exit(0, "exited", "two")
    assert home.lines() == ["one", "two"]
    assert until(lambda: not home.supervisor.is_running("training/one"))
    assert list((home.folder / "jobs").iterdir()) == []


def test_a_job_leaves_the_processors_to_the_server(home: Home) -> None:
    run(home, home.job("import os; print(os.nice(0))"))
    assert home.lines() == [str(os.nice(0) + JOB_NICENESS)]
    autogroup = Path("/proc/self/autogroup")
    if autogroup.exists():
        code = f"print(open('{autogroup}').read().strip())"

        def nice() -> bool:  # Linux lets ordinary users set it ten times a second, all together
            run(home, home.job(code, "training/two"))
            until(lambda: not home.supervisor.is_running("training/two"))
            return home.lines("training/two")[-1].endswith(f" nice {JOB_NICENESS}")

        assert until(nice)


def test_the_latest_ends_are_listed_first(home: Home) -> None:
    run(home, home.job("pass", "training/one"))
    run(home, home.job("raise SystemExit(3)", "training/two"))
    two, one = home.supervisor.ended()
    assert (one.id, one.exit.code, one.log_stream) == ("training/one", 0, "training/one/algo-1")
    assert (two.id, two.exit.code, two.log_group) == ("training/two", 3, GROUP)
    assert one.at <= two.at


def test_the_last_line_of_stderr_is_the_reason(home: Home) -> None:
    end = run(home, home.job("import sys; print('fine', flush=True); raise ValueError('too deep')"))
    assert end == Exit(1, "exited", "ValueError: too deep")
    assert home.lines()[-1] == "ValueError: too deep"


def test_a_killed_child_shows_its_signal(home: Home) -> None:
    end = run(home, home.job("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert (end.code, end.reason) == (-signal.SIGKILL, "exited")


def test_a_program_that_does_not_exist(home: Home) -> None:
    end = run(home, home.job("", argv=["/no/such/program"]))
    assert end == Exit(127, "exited", "cannot start /no/such/program: No such file or directory")
    assert home.lines() == [end.last_line]


def test_tabs_are_stored_as_cloudwatch_shows_them_and_given_to_on_line(home: Home) -> None:
    seen: list[str] = []
    ending = Ending()
    home.supervisor.start(home.job(r"print('[0]\ttrain-auc:0.5')"), ending, seen.append)
    ending.wait()
    assert seen == ["[0]#011train-auc:0.5"]
    assert home.lines() == seen


def test_lines_without_an_end_long_lines_and_bytes_that_are_no_text(home: Home) -> None:
    code = "import sys; w=sys.stdout.buffer.write;"
    code += "w(b'x'*600_000 + b'\\n'); w(b'\\xff caf\\xc3\\xa9\\r\\n'); w(b'end')"
    run(home, home.job(code))
    *parts, broken, last = home.lines()
    assert "".join(parts) == "x" * 600_000
    assert max(map(len, parts)) <= 320_000
    assert (broken, last) == ("� café", "end")


def test_a_job_past_its_time_is_stopped(home: Home) -> None:
    code = "import time; print('begun', flush=True); time.sleep(60)"
    end = run(home, home.job(code, timeout_seconds=1.5))
    assert (end.code, end.reason, end.last_line) == (-signal.SIGTERM, "timed_out", "begun")


def test_a_job_that_ignores_sigterm_is_killed_after_its_grace(home: Home) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    code += "print('deaf', flush=True); time.sleep(60)"
    ending = Ending()
    home.supervisor.start(home.job(code, grace_seconds=0.3), ending)
    until(home.lines)
    home.supervisor.stop("training/one")
    end = ending.wait()
    assert (end.code, end.reason) == (-signal.SIGKILL, "stopped")


def test_a_stopped_job_may_end_in_order(home: Home) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), sys.exit(0)))\n"
        "print('begun', flush=True); time.sleep(60)"
    )
    ending = Ending()
    home.supervisor.start(home.job(code), ending)
    until(home.lines)
    home.supervisor.stop("training/one")
    assert ending.wait() == Exit(0, "stopped", "saved")


def test_a_stop_right_after_the_start(home: Home) -> None:
    ending = Ending()
    home.supervisor.start(home.job("import time; time.sleep(60)"), ending)
    home.supervisor.stop("training/one")
    assert ending.wait().reason == "stopped"


def test_a_stop_between_the_runners_start_and_its_jobs(tmp_path: Path) -> None:
    job: dict[str, Any] = {
        "argv": [sys.executable, "-c", "import time; time.sleep(60)"],
        "env": {},
        "cwd": str(tmp_path),
        "timeout_seconds": None,
        "grace_seconds": 60,
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    code = (
        "import os, pathlib, signal, subprocess\n"
        "from local_aws.runner import Runner\n"
        "class Stopped(subprocess.Popen):\n"
        "    def __init__(self, *arguments, **options):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        super().__init__(*arguments, **options)\n"
        "subprocess.Popen = Stopped\n"
        "Runner(pathlib.Path('.')).run()\n"
    )
    environment = {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, timeout=PATIENCE, check=True)
    end = json.loads((tmp_path / "exit.json").read_text())
    assert (end["code"], end["reason"]) == (-signal.SIGTERM, "stopped")


GRANDCHILD = (
    "import subprocess, sys, time\n"
    "code = 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'\n"
    "child = subprocess.Popen([sys.executable, '-c', code], start_new_session=True)\n"
)


def test_a_grandchild_in_a_session_of_its_own_does_not_outlive_a_stopped_job(home: Home) -> None:
    ending = Ending()
    home.supervisor.start(home.job(GRANDCHILD + "time.sleep(600)"), ending)
    pid = int(until(home.lines)[0])
    home.supervisor.stop("training/one")
    assert ending.wait().reason == "stopped"
    assert is_gone(pid)


def test_a_grandchild_does_not_outlive_a_job_that_ends(home: Home) -> None:
    code = GRANDCHILD + "time.sleep(0.5)"
    end = run(home, home.job(code))
    assert end.code == 0
    assert is_gone(int(home.lines()[0]))


def test_the_environment_of_a_job_is_its_own(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "1")
    names = "('SECRET', 'AWS', 'SM_', 'PYTHONUN')"
    code = f"import os; print(sorted(name for name in os.environ if name.startswith({names})))"
    run(home, home.job(code, env={"SM_HP_ETA": "0.2"}))
    assert home.lines() == [
        "['AWS_EC2_METADATA_DISABLED', 'AWS_ENDPOINT_URL', 'PYTHONUNBUFFERED', 'SM_HP_ETA']"
    ]


def test_two_jobs_of_one_id_at_a_time_are_refused_and_one_after_the_other_are_not(home: Home) -> None:
    ending = Ending()
    home.supervisor.start(home.job("import time; time.sleep(60)"), ending)
    with pytest.raises(ValueError, match="training/one is already running"):
        home.supervisor.start(home.job("pass"), Ending())
    home.supervisor.stop("training/one")
    ending.wait()
    until(lambda: not home.supervisor.is_running("training/one"))
    assert run(home, home.job("print('again')")) == Exit(0, "exited", "again")


def test_the_list_shows_processor_and_memory(home: Home) -> None:
    ending = Ending()
    home.supervisor.start(home.job("print('up', flush=True)\nwhile True: pass"), ending)
    until(home.lines)
    row = until(lambda: next((row for row in home.supervisor.list() if row.cpu > 5), None))
    assert (row.id, row.log_stream) == ("training/one", "training/one/algo-1")
    assert row.rss > 5_000_000
    assert os.getpriority(os.PRIO_PROCESS, psutil.Process(row.pid).children()[0].pid) > os.getpriority(
        os.PRIO_PROCESS, 0
    )


def test_a_running_job_is_adopted_and_no_line_is_lost_or_doubled(home: Home) -> None:
    go = home.folder / "go"
    code = (
        "import time, pathlib\n"
        "for i in range(500): print(i, flush=True)\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)\n"
        "for i in range(500, 1000): print(i, flush=True)"
    )
    left_by_a_killed_server(home, code)
    go.touch()
    ending = Ending()
    home.supervisor.attach("training/one", ending)
    assert ending.wait() == Exit(0, "exited", "999")
    assert home.lines() == [str(i) for i in range(1000)]


def test_an_adopted_job_can_be_stopped(home: Home) -> None:
    pid = left_by_a_killed_server(home, "import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    ending = Ending()
    home.supervisor.attach("training/one", ending)
    home.supervisor.stop("training/one")
    assert ending.wait().reason == "stopped"
    assert is_gone(pid)


def test_a_job_that_ended_while_nobody_watched_is_reported(home: Home) -> None:
    left_by_a_killed_server(home, "import time; print(1, flush=True); time.sleep(0.5); 1/0")
    (folder,) = (home.folder / "jobs").iterdir()
    until((folder / "exit.json").exists)
    ending = Ending()
    home.supervisor.attach("training/one", ending)
    assert ending.wait() == Exit(1, "exited", "ZeroDivisionError: division by zero")
    assert home.lines()[-1] == "ZeroDivisionError: division by zero"


def test_a_job_that_nobody_knows_is_lost(home: Home) -> None:
    ending = Ending()
    home.supervisor.attach("training/unknown", ending)
    assert ending.wait() == Exit(None, "lost", "")


def test_a_job_whose_runner_was_killed_is_lost_and_gone(home: Home) -> None:
    ending = Ending()
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    home.supervisor.start(home.job(code), ending)
    pid = int(until(home.lines)[0])
    (row,) = home.supervisor.list()
    os.kill(row.pid, signal.SIGKILL)
    assert ending.wait() == Exit(None, "lost", str(pid))
    assert until(lambda: is_gone(pid))


def test_shutdown_stops_every_job_and_reports_each(home: Home) -> None:
    endings = [Ending() for _ in range(3)]
    for number, ending in enumerate(endings):
        home.supervisor.start(home.job("import time; time.sleep(600)", f"training/{number}"), ending)
    pids = [row.pid for row in home.supervisor.list()]
    home.supervisor.shutdown()
    assert [ending.wait().reason for ending in endings] == ["stopped"] * 3
    assert all(is_gone(pid) for pid in pids)
    with pytest.raises(RuntimeError, match="stopping"):
        home.supervisor.start(home.job("pass"), Ending())


def test_a_service_is_started_again_when_it_dies(home: Home) -> None:
    service = home.job("import os, time; print(os.getpid(), flush=True); time.sleep(600)", "serving")
    home.supervisor.keep_alive(service)
    first = int(until(lambda: home.lines("serving"))[0])
    os.kill(first, signal.SIGKILL)
    second = int(until(lambda: home.lines("serving")[1:])[0])
    assert second != first
    home.supervisor.shutdown()
    assert is_gone(second)


def test_a_service_ends_with_its_server_and_the_next_server_starts_it_anew(home: Home) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    first = left_by_a_killed_server(home, code, "serving", "keep_alive")
    home.supervisor.keep_alive(home.job(code, "serving"))
    assert is_gone(first)
    assert int(until(lambda: home.lines("serving")[1:])[0]) != first


def test_a_service_ends_with_a_server_that_is_not_started_again(home: Home) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    pid = left_by_a_killed_server(home, code, "serving", "keep_alive")
    assert until(lambda: is_gone(pid))


def test_an_on_exit_that_fails_does_not_block_the_id(home: Home) -> None:
    def fails(end: Exit) -> None:
        raise KeyError("nobody expects this")

    home.supervisor.start(home.job("pass"), fails)
    until(lambda: not home.supervisor.is_running("training/one"))
    assert run(home, home.job("print('next')")).last_line == "next"

from __future__ import annotations

import subprocess
import sys

import installing
import pytest


@pytest.fixture
def pip(monkeypatch):
    calls: list[list[str]] = []
    answer = subprocess.CompletedProcess([], 0, "", "")

    def run(argv, **_):
        calls.append(argv)
        return answer

    monkeypatch.setattr(subprocess, "run", run)
    return calls, answer


def requirements(tmp_path, text: str):
    path = tmp_path / "requirements.txt"
    path.write_text(text)
    return path


def test_what_is_there_is_left_alone(tmp_path, pip):
    calls, _ = pip
    assert installing.install_missing(requirements(tmp_path, "# why\nnumpy>=1\n\npytest[extra]~=8.0\n")) == []
    assert calls == []


def test_what_is_missing_is_installed(tmp_path, pip, capsys):
    calls, _ = pip
    found = installing.install_missing(requirements(tmp_path, "numpy\nno-such-package-here>=1,<2\n"))
    assert found == ["no-such-package-here>=1,<2"]
    assert calls[0][:4] == [sys.executable, "-m", "pip", "install"]
    assert calls[0][-1] == "no-such-package-here>=1,<2"
    assert capsys.readouterr().out == "installing no-such-package-here>=1,<2\n"


def test_failure_says_why(tmp_path, pip):
    _, answer = pip
    answer.returncode, answer.stderr = 1, "looking\nERROR: No matching distribution found\n"
    with pytest.raises(
        RuntimeError, match="cannot install no-such-package-here: ERROR: No matching distribution found"
    ):
        installing.install_missing(requirements(tmp_path, "no-such-package-here\n"))

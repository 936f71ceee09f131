"""Environments: what is current, what is refused, and how failures are put into words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench import environments
from workbench.environments import EnvironmentProblem

VERSION = ".".join(map(str, sys.version_info[:3]))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one set, `tiny`, which is built."""
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "tiny.txt").write_text("tiny==1.0\n")
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setattr(environments, "LOCKS", tmp_path / "environments")
    monkeypatch.setattr(environments, "VENVS", tmp_path / ".venv")
    monkeypatch.delenv("PYTHON", raising=False)
    home = tmp_path / ".venv" / "tiny"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").symlink_to(sys.executable)
    (home / "pyvenv.cfg").write_text(f"home = /somewhere\nversion_info = {VERSION}\n")
    (home / environments.STAMP).write_text(json.dumps(environments._stamp("tiny", VERSION)))
    return tmp_path


def test_a_built_environment_is_current(project):
    assert environments.is_current("tiny")
    environments.build(["tiny"])  # and building it again starts nothing


def test_a_changed_lock_is_not_current(project):
    (project / "environments" / "tiny.txt").write_text("tiny==1.1\n")
    assert not environments.is_current("tiny")


def test_an_environment_whose_python_was_removed_is_not_current(project):
    python = project / ".venv" / "tiny" / "bin" / "python"
    python.unlink()
    python.symlink_to(project / "gone" / "python")
    assert not environments.is_current("tiny")


def test_another_python_is_only_wanted_when_asked_for(project, monkeypatch):
    settings = project / ".venv" / "tiny" / "pyvenv.cfg"
    settings.write_text("version_info = 3.11.99\n")
    (settings.parent / environments.STAMP).write_text(json.dumps(environments._stamp("tiny", "3.11.99")))
    assert environments.is_current("tiny")
    monkeypatch.setenv("PYTHON", sys.executable)
    assert not environments.is_current("tiny")


def test_an_interrupted_build_is_not_current(project):
    (project / ".venv" / "tiny" / environments.STAMP).unlink()
    assert not environments.is_current("tiny")


def test_an_unknown_set_is_named(project):
    with pytest.raises(EnvironmentProblem, match=r"no set 'jbos'; the sets are tiny"):
        environments.build(["jbos"])


def test_require_says_how_to_build_what_is_missing(project):
    with pytest.raises(EnvironmentProblem, match=r"'other' is not built: run `make environments`"):
        environments.require("other")


@pytest.mark.parametrize(
    ("output", "free_bytes", "expected"),
    [
        ("error: failed to write to `x`: No space left on device (os error 28)", 10**10, "the disk is full"),
        ("killed", 1_000_000, "the disk is full"),
        ("error: Failed to fetch: `https://...`\n  Caused by: dns error", 10**10, "index did not answer"),
        ("ERROR: Could not find a version that satisfies the requirement uv", 10**10, "index did not answer"),
        ("error: the lock has no such package", 10**10, "the lock has no such package"),
    ],
)
def test_a_failure_is_explained(output, free_bytes, expected):
    assert expected in environments._explain("install worker", output, free_bytes)


def test_an_unsupported_python_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 13, 0, "final", 0))
    with pytest.raises(EnvironmentProblem, match=rf"3\.12 or 3\.11 is needed, and {sys.executable} is 3\.13"):
        environments._require_supported_python()


def test_the_index_of_pip_is_given_to_uv(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    for name in ("UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    lines = "global.extra-index-url='https://more.example'\n:env:.index-url='https://mirror.example/simple'\n"
    listed = subprocess.CompletedProcess([], 0, lines)
    monkeypatch.setattr(environments, "_captured", lambda *_: listed)
    assert environments._index_settings()["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"


def test_make_without_any_supported_python_says_so(tmp_path):
    for name in ("python3.12", "python3.11", "python3", "python"):
        shim = tmp_path / name  # as pyenv's: on PATH, with no Python behind it
        shim.write_text("#!/bin/sh\nexit 127\n")
        shim.chmod(0o755)
    for name in ("make", "sh", "awk"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    clean = {key: value for key, value in os.environ.items() if key != "PYTHON"}
    done = subprocess.run(
        ["make", "environments"],
        cwd=environments.ROOT,
        env={**clean, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "Python 3.12 or 3.11 is needed and none was found on PATH" in done.stderr


def test_make_help_names_every_target():
    done = subprocess.run(["make"], cwd=environments.ROOT, capture_output=True, text=True, check=True)
    for target in (
        "demo",
        "up",
        "down",
        "status",
        "logs",
        "test",
        "test-fast",
        "bench",
        "lint",
        "lock",
        "clean",
    ):
        assert f"  make {target} " in done.stdout

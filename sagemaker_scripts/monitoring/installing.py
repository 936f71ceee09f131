"""Installs what an image lacks, before anything imports it."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path


def install_missing(requirements: Path) -> list[str]:
    """Install the lines of a requirements file whose package is not there; returns them.

    Raises RuntimeError with pip's own reason.
    """
    lines = [line.strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    missing = [line for line in lines if line and not line.startswith("#") and not _is_installed(line)]
    if missing:
        print(f"installing {', '.join(missing)}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *missing],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
            raise RuntimeError(f"cannot install {', '.join(missing)}: {reason}")
    return missing


def _is_installed(requirement: str) -> bool:
    name = re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0]
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True

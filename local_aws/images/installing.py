"""What a job or endpoint requires beyond its image: used where it is there, else installed for it alone."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

# The same library under another name: without what only GPUs need.
ALSO_CALLED = {"xgboost": "xgboost-cpu"}


def install_missing(wanted: Sequence[str], site: Path, options: Sequence[str] = ()) -> list[str]:
    """Install those requirements that the environment does not satisfy into `site`; returns them.

    The environment is shared by all jobs and never changed. Raises RuntimeError with pip's own reason.
    """
    missing = [requirement for requirement in wanted if not is_satisfied(requirement)]
    if missing:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--target", str(site), *options, *missing),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
            raise RuntimeError(f"{', '.join(missing)} could not be installed: {reason}")
    return missing


def is_satisfied(requirement: str) -> bool:
    """Whether this environment has what one line of a requirements file asks for."""
    try:
        wanted = Requirement(requirement)
        if wanted.marker is not None and not wanted.marker.evaluate():
            return True
        return wanted.specifier.contains(_version(wanted.name), prereleases=True)
    except (InvalidRequirement, importlib.metadata.PackageNotFoundError):
        return False


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.version(ALSO_CALLED.get(name, name))


def read_requirements(file: Path) -> tuple[list[str], list[str]]:
    """(requirements, pip options) of a requirements file; a file that it includes is left to pip."""
    lines = [line.partition(" #")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if line and not line.startswith("#")]
    options = [word for line in kept if line.startswith("-") for word in line.split(maxsplit=1)]
    return [line for line in kept if not line.startswith("-")], options

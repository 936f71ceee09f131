"""The user's script: found or downloaded, its requirements installed, once for all workers of a model."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_aws.images.installing import install_missing, read_requirements
from local_aws.images.registry import PROJECT_ROOT


class BadSource(Exception):
    """The script cannot be had. The message says what is missing, and where."""


def prepare(base: Path) -> None:
    """Make the user's modules importable, and nothing of this project.

    base plays /opt/ml. Raises BadSource.
    """
    packages = base / "packages"
    with _alone(base):
        code = _code(base)
        requirements = code / "requirements.txt"
        if requirements.is_file() and not packages.exists():
            _install(requirements, packages)
    own = {"", str(PROJECT_ROOT), str(Path.cwd())}
    added = [str(code), str(packages)]
    sys.path[:] = [*added, *(entry for entry in sys.path if entry not in own)]
    os.environ["PYTHONPATH"] = os.pathsep.join(added)  # for the processes of the script itself


def _code(base: Path) -> Path:
    """SAGEMAKER_SUBMIT_DIRECTORY: a folder, or an archive in S3; without it `model/code`."""
    given = os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY")
    code = base / "model" / "code"
    if given and given.startswith("s3://"):
        code = base / "code"
        if not code.exists():
            _download(given, code)
    elif given:
        code = Path(given)
    program = os.environ.get("SAGEMAKER_PROGRAM")
    if program and not (code / program).is_file():
        present = ", ".join(sorted(path.name for path in code.glob("*"))) or "nothing"
        raise BadSource(
            f"SAGEMAKER_PROGRAM {program} is not in {given or '/opt/ml/model/code'}, which holds {present}."
        )
    return code


def _download(uri: str, folder: Path) -> None:
    import boto3
    from botocore.exceptions import ClientError

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        archive, unpacked = Path(work) / "source.tar.gz", Path(work) / "source"
        try:
            boto3.client("s3").download_file(bucket, key, str(archive))
            with tarfile.open(archive, "r:*") as members:
                members.extractall(unpacked, filter="data")
        except ClientError as error:
            raise BadSource(f"SAGEMAKER_SUBMIT_DIRECTORY {uri} cannot be read: {error}") from error
        except (tarfile.TarError, EOFError) as error:
            raise BadSource(f"SAGEMAKER_SUBMIT_DIRECTORY {uri} is no tar.gz archive: {error}") from error
        unpacked.replace(folder)


def _install(requirements: Path, packages: Path) -> None:
    work = packages.with_name(".packages")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    wanted, options = read_requirements(requirements)
    try:
        for requirement in install_missing(wanted, work, options):
            print(f"installed {requirement}", flush=True)
    except RuntimeError as error:
        raise BadSource(f"requirements.txt: {error}") from error
    work.replace(packages)


@contextmanager
def _alone(base: Path) -> Iterator[None]:
    """The workers of one model start together; the first does the work."""
    with (base / "source.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

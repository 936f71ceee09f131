"""model.tar.gz and output.tar.gz: packed from a job's folder, unpacked for a model server."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path


class BadArchive(ValueError):
    """The archive cannot be unpacked safely, or is no archive. The message says which and why."""


def pack(folder: Path, destination: Path) -> None:
    """Write the regular files below `folder` as a gzipped tar with the files at its root.

    Links are left out: what they point at is not the job's to give away.
    """
    with tarfile.open(destination, "w:gz", compresslevel=6) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                continue
            archive.add(path, arcname=str(path.relative_to(folder)), recursive=False)


def extract(archive: Path, destination: Path, shown_as: str) -> None:
    """Unpack into `destination`, which appears only when everything in it is there.

    shown_as: the archive's s3:// URI, for messages. Raises BadArchive for a truncated or foreign file and for
    members that would leave the folder (absolute paths, `..`, links out, devices).
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        try:
            with tarfile.open(archive, "r:*") as members:
                members.extractall(work, filter="data")
        except tarfile.FilterError as error:
            raise BadArchive(f"{shown_as} holds a member that may not be extracted: {error}") from error
        except (tarfile.TarError, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk, not the archive
            raise BadArchive(f"{shown_as} is not a readable tar.gz archive: {error}") from error
        work.chmod(0o755)
        if not destination.is_dir():  # else another thread was faster, with the same content
            work.replace(destination)
    finally:
        shutil.rmtree(work, ignore_errors=True)

"""Archives for AWS: the same files give the same bytes, so that an upload tells whether something changed."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that the format can hold
FILE_MODE = 0o100644 << 16


def archive(files: Mapping[str, Path]) -> bytes:
    """A zip archive of files by their names in it: sorted, without this machine's dates, owners and modes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, FIRST_DATE)
            info.create_system = 3  # Unix, wherever this runs: the mode below is read only then
            info.external_attr = FILE_MODE
            info.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(info, files[name].read_bytes(), compresslevel=9)
    return buffer.getvalue()


def tree(folder: Path, root: Path) -> dict[str, Path]:
    """The files below a folder, named relative to `root`; without compiled and hidden ones."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(root).as_posix(): path for path in found}
    return {
        name: path
        for name, path in names.items()
        if not any(part == "__pycache__" or part.startswith(".") for part in Path(name).parts)
    }


def function(root: Path) -> bytes:
    """The package of the Lambda function trigger_dag; boto3 and Powertools come with runtime and layer."""
    functions = root / "lambda_functions"
    return archive(tree(functions / "trigger_dag", functions))


def source(folder: Path) -> bytes:
    """The scripts of a folder as SageMaker's script mode takes them: a gzipped tar, its files at the root."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, filename="") as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, path in sorted(tree(folder, folder).items()):
            info = tarfile.TarInfo(name)
            content = path.read_bytes()
            info.size, info.mode = len(content), 0o644
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()

"""S3 data sources of jobs: checked when the job is asked for, copied into its folder when it starts."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from . import errors
from .backend import Service


class BadInput(ValueError):
    """An input that cannot be given to the job. The message names the object and says why."""


@dataclass(frozen=True)
class Source:
    """Where one channel's or input's objects are, as the three job APIs say it in their own words.

    data_type: S3Prefix or ManifestFile. compressed: objects are gunzipped on the way.
    """

    uri: str
    data_type: str = "S3Prefix"
    compressed: bool = False


@dataclass(frozen=True)
class Shard:
    """Which part of a source's objects one of several instances gets: every `count`-th, from `index` on."""

    index: int
    count: int


WHOLE = Shard(0, 1)


@dataclass(frozen=True)
class Item:
    """One object of a source and where below the channel's folder it goes."""

    bucket: str
    key: str
    relative: str
    size: int


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/some/key` -> (bucket, key); the key may be empty."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def join_uri(base: str, *parts: str) -> str:
    return "/".join([base.rstrip("/"), *parts])


def check(service: Service, source: Source, role_arn: str) -> None:
    """Refuse a source that has no objects, as AWS does: at once, with its text."""
    if source.data_type not in ("S3Prefix", "ManifestFile"):
        raise errors.unsupported(f"S3DataType {source.data_type}")
    bucket, prefix = split_uri(source.uri)
    objects = service.context.objects
    if objects.exists_bucket(bucket) and next(iter(objects.list(bucket, prefix)), None) is not None:
        return
    raise errors.validation(
        f'No S3 objects found under S3 URL "{source.uri}" given in input data source. Please ensure that '
        f"the bucket exists in the selected region ({service.backend.region_name}), that objects exist under "
        f'that S3 prefix, and that the role "{role_arn}" has "s3:ListBucket" permissions on bucket '
        f'"{bucket}".'
    )


def items(service: Service, source: Source) -> list[Item]:
    """The objects of a source in key order, folder markers left out.

    A prefix is a prefix, not a folder: `s3://b/train` takes `train/a` and `training/b`, which then keep the
    part after the last slash of the prefix. Raises BadInput when there is nothing, or for a bad manifest.
    """
    found = list(
        _manifest(service, source.uri) if source.data_type == "ManifestFile" else _prefix(service, source.uri)
    )
    if not found:
        raise BadInput(f'No S3 objects found under S3 URL "{source.uri}"')
    return found


def download(service: Service, source: Source, folder: Path, shard: Shard = WHOLE) -> int:
    """Copy a source's objects below `folder`; return how many. Copies: a job cannot change stored ones."""
    folder.mkdir(parents=True, exist_ok=True)
    found = items(service, source)[shard.index :: shard.count]
    for item in found:
        destination = folder / item.relative
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            if destination.is_dir():
                raise IsADirectoryError(destination)
            _copy(service, item, destination, source.compressed)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise BadInput(
                f"s3://{item.bucket}/{item.key} cannot be downloaded: "
                "another key makes its name both a file and a folder"
            ) from error
    return len(found)


def _copy(service: Service, item: Item, destination: Path, compressed: bool) -> None:
    objects = service.context.objects
    try:
        if not compressed:
            shutil.copyfile(objects.path(item.bucket, item.key), destination)  # inside the kernel
            return
        with objects.open(item.bucket, item.key) as source:
            destination = destination.with_suffix("") if destination.suffix == ".gz" else destination
            with gzip.open(source) as expanded, destination.open("wb") as target:
                shutil.copyfileobj(expanded, target, 1 << 20)
    except KeyError as error:
        raise BadInput(f"s3://{item.bucket}/{item.key} was deleted while it was being downloaded") from error
    except (EOFError, gzip.BadGzipFile) as error:
        raise BadInput(f"s3://{item.bucket}/{item.key} is not a complete gzip file: {error}") from error


def _prefix(service: Service, uri: str) -> Iterator[Item]:
    bucket, prefix = split_uri(uri)
    for info in service.context.objects.list(bucket, prefix):
        if info.key.endswith("/"):
            continue
        rest = info.key[len(prefix) :]
        if not rest:
            relative = PurePosixPath(info.key).name
        elif prefix.endswith("/") or rest.startswith("/") or not prefix:
            relative = rest.lstrip("/")
        else:
            relative = info.key[prefix.rfind("/") + 1 :]
        yield Item(bucket, info.key, _safe(relative, f"s3://{bucket}/{info.key}"), info.size)


def _manifest(service: Service, uri: str) -> Iterator[Item]:
    """`[{"prefix": "s3://bucket/some/"}, "a.csv", "b.csv"]`: names relative to the prefix."""
    bucket, key = split_uri(uri)
    try:
        with service.context.objects.open(bucket, key) as file:
            entries = json.load(file)
        prefix, names = entries[0]["prefix"], entries[1:]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadInput(
            f'The manifest {uri} is not a list that begins with {{"prefix": "s3://..."}}'
        ) from error
    bucket, base = split_uri(prefix)
    for name in names:
        if not isinstance(name, str):
            raise BadInput(f"The manifest {uri} holds {name!r}, which is not an object's name")
        full = base + name
        info = next((i for i in service.context.objects.list(bucket, full) if i.key == full), None)
        if info is None:
            raise BadInput(f"The manifest {uri} names s3://{bucket}/{full}, which does not exist")
        yield Item(bucket, full, _safe(name or PurePosixPath(full).name, f"s3://{bucket}/{full}"), info.size)


def _safe(relative: str, uri: str) -> str:
    """A key is a name, not a path: one that would leave the channel's folder is refused."""
    parts = PurePosixPath(relative).parts
    if not parts or relative.startswith("/") or ".." in parts or "\0" in relative:
        raise BadInput(f"{uri} would be written outside the job's folder")
    return relative

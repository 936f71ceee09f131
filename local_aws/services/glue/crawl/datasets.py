"""Which files are one table: folders of the same shape are partitions of the folder above them.

That is how Glue's crawlers group (https://docs.aws.amazon.com/glue/latest/dg/crawler-s3-folder-table-partition.html):
from the deepest folders up, folders whose files have like schemas become partitions of one table; where they
differ, each is a table of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from local_aws.services.glue.crawl.schema import Schema


@dataclass(frozen=True)
class File:
    """An object: its key below the target, in parts, and its size in bytes."""

    parts: tuple[str, ...]
    size: int


@dataclass
class Dataset:
    """A table: the folder that it is (parts of a key), its schema, and its partitions' folder names."""

    path: tuple[str, ...]
    schema: Schema
    files: int
    size: int
    partitions: list[tuple[str, ...]] = field(default_factory=list)
    is_file: bool = False

    @property
    def depth(self) -> int:
        """How many partition keys there are."""
        return len(self.partitions[0]) if self.partitions else 0

    def keys(self) -> list[str]:
        """Names of the partition keys: of folders `key=value`, else partition_0, partition_1 ..."""
        found = []
        for level in range(self.depth):
            names = {match[1] for p in self.partitions if (match := re.match(r"([^=]+)=", p[level]))}
            whole = all("=" in partition[level] for partition in self.partitions)
            found.append(names.pop().lower() if whole and len(names) == 1 else f"partition_{level}")
        return found


@dataclass
class _Folder:
    files: list[File] = field(default_factory=list)
    folders: dict[str, _Folder] = field(default_factory=dict)


def find(
    files: Iterable[File], read: Callable[[File], Schema | None], table_level: int | None = None
) -> list[Dataset]:
    """The tables among files. `read` gives a file's schema; what it gives None for is left out.

    table_level: folders above this level (the target's own is 0) are never joined to one table.
    """
    root = _Folder()
    for file in files:
        folder = root
        for part in file.parts[:-1]:
            folder = folder.folders.setdefault(part, _Folder())
        folder.files.append(file)
    return _find(root, (), read, table_level)


def _find(
    folder: _Folder,
    path: tuple[str, ...],
    read: Callable[[File], Schema | None],
    table_level: int | None,
) -> list[Dataset]:
    own = _of_files(folder.files, path, read)
    below = [_find(child, (*path, name), read, table_level) for name, child in sorted(folder.folders.items())]
    tables = [table for found in below for table in found]
    may_join = table_level is None or len(path) >= table_level
    if not own and tables and may_join and all(len(found) == 1 for found in below):
        joined = _joined(tables, path)
        if joined is not None:
            return [joined]
    return [*own, *tables]


def _of_files(
    files: list[File], path: tuple[str, ...], read: Callable[[File], Schema | None]
) -> list[Dataset]:
    """The files directly in a folder: one table when they are alike, else one each."""
    found = [(file, schema) for file in files if (schema := read(file)) is not None]
    if not found:
        return []
    schema = found[0][1]
    if all(schema.is_like(other) for _, other in found[1:]):
        for _, other in found[1:]:
            schema = schema.merged(other)
        return [Dataset(path, schema, len(found), sum(file.size for file, _ in found))]
    return [Dataset(file.parts, schema, 1, file.size, is_file=True) for file, schema in found]


def _joined(tables: list[Dataset], path: tuple[str, ...]) -> Dataset | None:
    first = tables[0]
    direct = all(len(table.path) == len(path) + 1 and not table.is_file for table in tables)
    if not direct or any(
        table.depth != first.depth or not first.schema.is_like(table.schema) for table in tables
    ):
        return None
    schema = first.schema
    for table in tables[1:]:
        schema = schema.merged(table.schema)
    partitions = [
        (table.path[-1], *rest) for table in tables for rest in (table.partitions if table.depth else [()])
    ]
    return Dataset(
        path, schema, sum(table.files for table in tables), sum(table.size for table in tables), partitions
    )

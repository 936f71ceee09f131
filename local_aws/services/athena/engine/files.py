"""The data files of CTAS, INSERT INTO and UNLOAD: Parquet, JSON lines, delimited text.

The text form is Hive's: no header, no quotes, NULL as `\\N`. Like Athena it does not escape, so that a text
that holds the delimiter or a line break is read back as something else.
"""

import gzip
import io
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

import duckdb

from local_aws.services.athena.engine import results, types
from local_aws.services.athena.engine.errors import QueryError, from_duckdb
from local_aws.services.athena.engine.relations import NULL_PARTITION, format_of, identifier, literal
from local_aws.services.athena.engine.translate import Translated

# Athena's own default for tables of Parquet and text.
DEFAULT_COMPRESSION = "GZIP"
COMPRESSIONS = {
    "PARQUET": ("GZIP", "SNAPPY", "ZSTD", "NONE", "UNCOMPRESSED"),
    "JSON": ("GZIP", "ZSTD", "NONE", "UNCOMPRESSED"),
    "TEXTFILE": ("GZIP", "NONE", "UNCOMPRESSED"),
}
SUFFIXES = {"GZIP": ".gz", "ZSTD": ".zst"}
DEFAULT_DELIMITER = "\x01"
NULL = "\\N"
FORMS = {"parquet": "PARQUET", "json": "JSON", "text": "TEXTFILE"}


@dataclass(frozen=True)
class Layout:
    """How rows become files. `form`: a key of COMPRESSIONS. `delimiter`, `null`: of the text form only."""

    form: str
    compression: str
    delimiter: str = DEFAULT_DELIMITER
    null: str = NULL
    serde_parameters: dict[str, str] = field(default_factory=dict)


def asked_for(options: Mapping[str, str], compression: str | None) -> Layout:
    """The layout of WITH (format, field_delimiter). Raises QueryError naming what is not written here."""
    form = options.get("format", "PARQUET").upper()
    if form not in COMPRESSIONS:
        raise QueryError(
            "NOT_SUPPORTED", f"format {form} is not written by local AWS, only {', '.join(COMPRESSIONS)}"
        )
    chosen = (compression or DEFAULT_COMPRESSION).upper()
    if chosen not in COMPRESSIONS[form]:
        raise QueryError("NOT_SUPPORTED", f"compression {chosen} of {form} is not written by local AWS")
    delimiter = options.get("field_delimiter")
    if delimiter is None:
        return Layout(form, chosen)
    if form != "TEXTFILE" or len(delimiter) != 1:
        raise QueryError("INVALID_TABLE_PROPERTY", "field_delimiter is one character, of TEXTFILE only")
    parameters = {"field.delim": delimiter, "serialization.format": delimiter}
    return Layout(form, chosen, delimiter, serde_parameters=parameters)


def of_table(table: Mapping[str, Any]) -> Layout:
    """The layout of the files that an INSERT adds to a table."""
    form = FORMS.get(format_of(table))
    if form is None:
        raise _not_inserted(table["serde"])
    given = table["serde_parameters"]
    if given.get("escape.delim"):
        raise _not_inserted("text with escapes")
    delimiter = given.get("field.delim", DEFAULT_DELIMITER)
    return Layout(form, DEFAULT_COMPRESSION, delimiter, given.get("serialization.null.format", NULL))


def _not_inserted(what: str) -> QueryError:
    return QueryError("NOT_SUPPORTED", f"INSERT INTO a table of {what} is not computed by local AWS")


def write(
    connection: duckdb.DuckDBPyConnection,
    translated: Translated,
    folder: Path,
    query_id: str,
    layout: Layout,
    keys: list[str] | None = None,
) -> tuple[list[dict[str, str]], int, list[tuple[str, str]]]:
    """Write the rows below `folder`, a folder for each value of `keys`, which are the last columns.

    Returns the files as {"path", "name"}, the number of rows, the columns with Trino's types.
    """
    target = folder / "data"
    target.mkdir()
    part = f"{query_id.replace('-', '')[:8]}_{secrets.token_hex(8)}"
    try:
        connection.execute(f"CREATE TEMP TABLE result AS {translated.sql}")
        described = connection.execute("SELECT * FROM result LIMIT 0").description or []
        columns = [
            (name, types.trino_name(column[1]))
            for name, column in zip(translated.columns, described, strict=True)
        ]
        names = ", ".join(
            f"{identifier(column[0])} AS {identifier(name)}"
            for name, column in zip(translated.columns, described, strict=True)
        )
        _check(columns, layout.form)
        if layout.form == "TEXTFILE":
            rows = connection.execute(f"SELECT {names} FROM result")
            _write_text(rows, columns, target, part, layout, len(keys or ()))
        else:
            _write_by_duckdb(connection, names, target, part, layout, keys)
        counted = connection.execute("SELECT count(*) FROM result").fetchone()
    except duckdb.Error as error:
        raise from_duckdb(error) from error
    suffix = "" if layout.form == "PARQUET" else SUFFIXES.get(layout.compression, "")
    parts = [
        {"path": str(path), "name": path.relative_to(target).with_name(_stem(path) + suffix).as_posix()}
        for path in sorted(path for path in target.rglob("*") if path.is_file())
    ]
    return parts, int(counted[0]) if counted else 0, columns


def _check(columns: list[tuple[str, str]], form: str) -> None:
    refused = {"TEXTFILE": ("array", "map", "row", "varbinary"), "JSON": ("varbinary",)}.get(form, ())
    for name, kind in columns:
        if kind.split("(")[0] in refused:
            raise QueryError("NOT_SUPPORTED", f"column {name!r}: local AWS does not write {kind} to {form}")


def _write_by_duckdb(
    connection: duckdb.DuckDBPyConnection,
    names: str,
    target: Path,
    part: str,
    layout: Layout,
    keys: list[str] | None,
) -> None:
    compression = "UNCOMPRESSED" if layout.compression == "NONE" else layout.compression
    options = [f"FORMAT {layout.form}", f"COMPRESSION {compression}"]
    if keys:
        options += [f"PARTITION_BY ({', '.join(map(identifier, keys))})", f"FILENAME_PATTERN {literal(part)}"]
    where = literal(str(target if keys else target / part))
    connection.execute(f"COPY (SELECT {names} FROM result) TO {where} ({', '.join(options)})")


def _write_text(
    rows: Any, columns: list[tuple[str, str]], target: Path, part: str, layout: Layout, keys: int
) -> None:
    plain = len(columns) - keys
    compressed = layout.compression == "GZIP"
    with ExitStack() as opened:
        files: dict[tuple[str, ...], TextIO] = {}
        for batch in results.batches(rows):
            for row in batch:
                cells = [layout.null if value is None else results.text(value) for value in row[:plain]]
                values = tuple(NULL_PARTITION if v is None else results.text(v) for v in row[plain:])
                if values not in files:
                    named = zip((name for name, _ in columns[plain:]), values, strict=True)
                    place = target.joinpath(*(f"{name}={quote(value, safe='')}" for name, value in named))
                    place.mkdir(parents=True, exist_ok=True)
                    files[values] = opened.enter_context(_open(place / part, compressed))
                files[values].write(layout.delimiter.join(cells) + "\n")
        if not files and not keys:
            opened.enter_context(_open(target / part, compressed))


def _open(path: Path, compressed: bool) -> TextIO:
    if not compressed:
        return path.open("w", encoding="utf-8", newline="")
    return io.TextIOWrapper(gzip.GzipFile(path, "wb", mtime=0), encoding="utf-8", newline="")


def _stem(path: Path) -> str:
    """A file's name without what DuckDB appends to a pattern."""
    return path.name.partition(".")[0]

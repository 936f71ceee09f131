"""Statements that write tables or files: CTAS, INSERT INTO and UNLOAD."""

import secrets
from pathlib import Path
from typing import Any

import duckdb

from local_aws.services.athena.engine import ddl, forms, hive, results, types
from local_aws.services.athena.engine.ddl import CatalogClient
from local_aws.services.athena.engine.errors import QueryError, from_duckdb
from local_aws.services.athena.engine.relations import format_of, identifier, literal
from local_aws.services.athena.engine.translate import Translated

_PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
_COMPRESSIONS = ("SNAPPY", "GZIP", "ZSTD", "NONE", "UNCOMPRESSED")
_TABLE_OPTIONS = frozenset(
    {"format", "external_location", "write_compression", "parquet_compression", "table_type", "is_external"}
)
_UNLOAD_OPTIONS = frozenset({"format", "compression"})


def run(
    connection: duckdb.DuckDBPyConnection,
    statement: forms.CreateTableAs | forms.Insert | forms.Unload,
    translated: Translated,
    database: str | None,
    catalog: CatalogClient,
    query_id: str,
    folder: Path,
) -> dict[str, Any]:
    """Write the data below `folder`, then hand it to the API side, which puts it into S3 and the catalog."""
    if isinstance(statement, forms.Unload):
        _only(statement.options, _UNLOAD_OPTIONS, "UNLOAD")
        parts, rows, _ = _copy(connection, translated, folder, query_id, statement.options)
        written = catalog("store", location=_folder(statement.location), files=parts, must_be_empty=True)
        return _answer(folder, query_id, written, rows)
    if isinstance(statement, forms.CreateTableAs):
        return _create(connection, statement, translated, database, catalog, query_id, folder)
    return _insert(connection, statement, translated, database, catalog, query_id, folder)


def _create(
    connection: duckdb.DuckDBPyConnection,
    statement: forms.CreateTableAs,
    translated: Translated,
    database: str | None,
    catalog: CatalogClient,
    query_id: str,
    folder: Path,
) -> dict[str, Any]:
    schema, name = ddl.qualified(statement.name, database)
    _only(statement.options, _TABLE_OPTIONS, "CREATE TABLE AS")
    if statement.options.get("table_type", "HIVE").upper() != "HIVE":
        raise QueryError(
            "NOT_SUPPORTED", f"table_type {statement.options['table_type']} is not computed by local AWS"
        )
    if catalog("get_table", database=schema, name=name) is not None:
        if statement.exists_ok:
            return _answer(folder, query_id, [], 0)
        raise QueryError("TABLE_ALREADY_EXISTS", f"Table 'awsdatacatalog.{schema}.{name}' already exists")
    if any(column.startswith("_col") for column in translated.columns):
        raise QueryError(
            "MISSING_COLUMN_NAME", f"Column name not specified at position {_unnamed(translated.columns)}"
        )
    keys = statement.partitioned_by
    if keys and translated.columns[-len(keys) :] != keys:
        raise QueryError(
            "INVALID_TABLE_PROPERTY", f"Partition keys must be the last columns in the table: {keys}"
        )
    options = {**statement.options, "compression": _compression(statement.options)}
    parts, rows, columns = _copy(connection, translated, folder, query_id, options, keys)
    location = statement.options.get("external_location") or catalog("default_location", query_id=query_id)
    written = catalog("store", location=_folder(location), files=parts, must_be_empty=True)
    described = [{"Name": column, "Type": types.hive_name(kind)} for column, kind in columns]
    plain = [column for column in described if column["Name"] not in keys]
    table = hive.parquet(name, plain, [c for c in described if c["Name"] in keys], _folder(location))
    catalog("create_table", database=schema, table=table, exists_ok=False)
    _register(catalog, schema, name, keys, _folder(location), parts)
    return _answer(folder, query_id, written, rows)


def _insert(
    connection: duckdb.DuckDBPyConnection,
    statement: forms.Insert,
    translated: Translated,
    database: str | None,
    catalog: CatalogClient,
    query_id: str,
    folder: Path,
) -> dict[str, Any]:
    table = ddl.table_of(catalog, statement.name, database)
    if format_of(table) != "parquet":
        raise QueryError(
            "NOT_SUPPORTED", "INSERT INTO tables other than Parquet is not computed by local AWS"
        )
    listed = [*table["columns"], *table["partition_keys"]]
    targets = statement.columns or [column["name"] for column in listed]
    if len(targets) != len(translated.columns):
        raise QueryError(
            "TYPE_MISMATCH",
            f"Insert query has {len(translated.columns)} columns, the table takes {len(targets)}",
        )
    unknown = set(targets) - {column["name"] for column in listed}
    if unknown:
        raise QueryError(
            "COLUMN_NOT_FOUND", f"Insert column name does not exist in target table: {min(unknown)}"
        )
    source = {column["name"]: "NULL" for column in listed}
    source.update({name: f"c{index}" for index, name in enumerate(targets)})
    inner = ", ".join(f"c{index}" for index in range(len(targets)))
    outer = ", ".join(
        f"CAST({source[column['name']]} AS {types.duckdb_of_hive(column['type'])}) "
        f"AS {identifier(column['name'])}"
        for column in listed
    )
    shaped = Translated(
        f"SELECT {outer} FROM ({translated.sql}) AS q({inner})", [c["name"] for c in listed], [], {}, {}
    )
    keys = [key["name"] for key in table["partition_keys"]]
    parts, rows, _ = _copy(connection, shaped, folder, query_id, {"format": "PARQUET"}, keys)
    written = catalog("store", location=_folder(table["location"]), files=parts, must_be_empty=False)
    _register(catalog, table["database"], table["name"], keys, _folder(table["location"]), parts)
    return _answer(folder, query_id, written, rows)


def _copy(
    connection: duckdb.DuckDBPyConnection,
    translated: Translated,
    folder: Path,
    query_id: str,
    options: dict[str, str],
    keys: list[str] | None = None,
) -> tuple[list[dict[str, str]], int, list[tuple[str, str]]]:
    """Write the rows as files; returns these as {"path", "name"}, the number of rows, the typed columns."""
    form = options.get("format", "PARQUET").upper()
    if form != "PARQUET":
        raise QueryError("NOT_SUPPORTED", f"format {form} is not written by local AWS, only PARQUET")
    compression = options.get("compression", "SNAPPY").upper()
    if compression not in _COMPRESSIONS:
        raise QueryError("NOT_SUPPORTED", f"compression {compression} is not written by local AWS")
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
        layout = (
            f", PARTITION_BY ({', '.join(map(identifier, keys))}), FILENAME_PATTERN {literal(part)}"
            if keys
            else ""
        )
        where = target if keys else target / part
        connection.execute(
            f"COPY (SELECT {names} FROM result) TO {literal(str(where))} "
            f"(FORMAT PARQUET, COMPRESSION {compression.replace('NONE', 'UNCOMPRESSED')}{layout})"
        )
        counted = connection.execute("SELECT count(*) FROM result").fetchone()
    except duckdb.Error as error:
        raise from_duckdb(error) from error
    files = sorted(path for path in target.rglob("*") if path.is_file())
    parts = [
        {"path": str(path), "name": path.relative_to(target).as_posix().removesuffix(".parquet")}
        for path in files
    ]
    return parts, int(counted[0]) if counted else 0, columns


def _register(
    catalog: CatalogClient,
    schema: str,
    name: str,
    keys: list[str],
    location: str,
    parts: list[dict[str, str]],
) -> None:
    if not keys:
        return
    folders = sorted({part["name"].rsplit("/", 1)[0] for part in parts})
    partitions = [
        {"values": [piece.split("=", 1)[1] for piece in path.split("/")], "location": f"{location}{path}/"}
        for path in folders
    ]
    catalog("add_partitions", database=schema, name=name, partitions=partitions, exists_ok=True)


def _answer(folder: Path, query_id: str, written: list[str], rows: int) -> dict[str, Any]:
    (folder / f"{query_id}-manifest.csv").write_text("".join(f"{uri}\n" for uri in written), encoding="utf-8")
    results.write_metadata(folder / f"{query_id}.metadata", [types.column_info("rows", "bigint")], rows)
    return {
        "files": [f"{query_id}-manifest.csv", f"{query_id}.metadata"],
        "rows": rows,
        "update_count": rows,
        "manifest": f"{query_id}-manifest.csv",
    }


def _only(options: dict[str, str], known: frozenset[str], what: str) -> None:
    unknown = sorted(set(options) - known)
    if unknown:
        raise QueryError("NOT_SUPPORTED", f"{what} WITH ({unknown[0]}) is not computed by local AWS")


def _compression(options: dict[str, str]) -> str:
    return options.get("write_compression") or options.get("parquet_compression") or "GZIP"


def _folder(location: str) -> str:
    if not location.startswith("s3://"):
        raise QueryError("INVALID_TABLE_PROPERTY", f"{location!r} is not an s3:// location")
    return location if location.endswith("/") else location + "/"


def _unnamed(columns: list[str]) -> int:
    return next(index for index, name in enumerate(columns, 1) if name.startswith("_col"))

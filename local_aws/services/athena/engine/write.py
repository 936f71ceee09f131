"""Statements that write tables or files: CTAS, INSERT INTO and UNLOAD."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb

from local_aws.services.athena.engine import ddl, files, forms, hive, results, types
from local_aws.services.athena.engine.ddl import CatalogClient
from local_aws.services.athena.engine.errors import QueryError
from local_aws.services.athena.engine.relations import identifier
from local_aws.services.athena.engine.translate import Translated

_TABLE_OPTIONS = frozenset(
    {
        *("format", "external_location", "table_type", "is_external", "field_delimiter"),
        *("write_compression", "parquet_compression"),
    }
)
_UNLOAD_OPTIONS = frozenset({"format", "compression", "field_delimiter"})


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
        layout = files.asked_for(statement.options, statement.options.get("compression"))
        keys = statement.partitioned_by
        _check_keys(keys, translated.columns)
        parts, rows, _ = files.write(connection, translated, folder, query_id, layout, keys)
        place = _folder(statement.location)
        written = catalog("store", location=place, files=parts, must_be_empty=not keys)
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
    _check_keys(keys, translated.columns)
    layout = files.asked_for(statement.options, _compression(statement.options))
    parts, rows, columns = files.write(connection, translated, folder, query_id, layout, keys)
    location = statement.options.get("external_location") or catalog("default_location", query_id=query_id)
    written = catalog("store", location=_folder(location), files=parts, must_be_empty=True)
    described = [{"Name": column, "Type": types.hive_name(kind)} for column, kind in columns]
    plain = [column for column in described if column["Name"] not in keys]
    partitioned = [column for column in described if column["Name"] in keys]
    table = hive.written(name, plain, partitioned, _folder(location), layout.form, layout.serde_parameters)
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
    layout = files.of_table(table)
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
    parts, rows, _ = files.write(connection, shaped, folder, query_id, layout, keys)
    written = catalog("store", location=_folder(table["location"]), files=parts, must_be_empty=False)
    _register(catalog, table["database"], table["name"], keys, _folder(table["location"]), parts)
    return _answer(folder, query_id, written, rows)


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
        {
            "values": [unquote(piece.split("=", 1)[1]) for piece in path.split("/")],
            "location": f"{location}{path}/",
        }
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


def _check_keys(keys: list[str], columns: list[str]) -> None:
    if keys and (columns[-len(keys) :] != keys or len(keys) == len(columns)):
        raise QueryError(
            "INVALID_TABLE_PROPERTY", f"Partition keys must be the last columns in the table: {keys}"
        )


def _compression(options: dict[str, str]) -> str | None:
    return options.get("write_compression") or options.get("parquet_compression")


def _folder(location: str) -> str:
    if not location.startswith("s3://"):
        raise QueryError("INVALID_TABLE_PROPERTY", f"{location!r} is not an s3:// location")
    return location if location.endswith("/") else location + "/"


def _unnamed(columns: list[str]) -> int:
    return next(index for index, name in enumerate(columns, 1) if name.startswith("_col"))

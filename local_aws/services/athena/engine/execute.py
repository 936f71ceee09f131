"""One query from text to result files.

Request: `{"id", "sql", "database", "parameters", "folder"}`. Answer: `{"kind", "files", "scanned", "rows",
"update_count", "manifest"}`; `files` are names in `folder` that belong at the query's output location.
"""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp

from local_aws.services.athena.engine import (
    commands,
    ddl,
    definitions,
    forms,
    lexer,
    partitions,
    relations,
    results,
    statements,
    translate,
    types,
    views,
    write,
)
from local_aws.services.athena.engine.ddl import CatalogClient
from local_aws.services.athena.engine.errors import QueryError, from_duckdb

_THREADS = 2
_MEMORY = "2GB"


def run(request: dict[str, Any], catalog: CatalogClient) -> dict[str, Any]:
    """Execute a query. Raises QueryError or duckdb.Error."""
    sql, parameters = request["sql"], request.get("parameters") or []
    if request.get("prepared"):
        sql, parameters = request["prepared"], commands.parameters_of(sql) or parameters
    statement = statements.read(sql if _is_prepare(sql) else with_parameters(sql, parameters))
    folder, database = Path(request["folder"]), request.get("database")
    if isinstance(statement, forms.Catalog):
        arguments = dict(statement.arguments)
        if statement.operation in ("show_tables", "show_views"):
            arguments["database_name"] = arguments.pop("database")
        answer = getattr(ddl, statement.operation)(catalog, database, **arguments)
        return _text_result(request["id"], folder, statement.kind, answer)
    if isinstance(statement, forms.CreateTable):
        schema, _ = ddl.qualified(statement.name, database)
        catalog("create_table", database=schema, table=statement.table, exists_ok=statement.exists_ok)
        return _text_result(request["id"], folder, statement.kind, None)
    with tempfile.TemporaryDirectory(dir=folder) as spill, _connect(spill) as connection:
        query = views.expand(statement.query, database, catalog)
        translated, scanned = prepare(connection, query, database, catalog)
        if isinstance(statement, forms.CreateView):
            _create_view(connection, statement, translated, database, catalog)
            return _text_result(request["id"], folder, statement.kind, None)
        if isinstance(statement, forms.Select):
            return _select(connection, translated, request["id"], folder, scanned)
        answer = write.run(connection, statement, translated, database, catalog, request["id"], folder)
        return {"scanned": scanned, "kind": statement.kind, **answer}


def prepare(
    connection: duckdb.DuckDBPyConnection, query: exp.Query, database: str | None, catalog: CatalogClient
) -> tuple[translate.Translated, int]:
    """Translate a query and make the tables that it reads; returns it and the bytes that it scans."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for table, schema, name in translate.tables(query, database):
        if (schema, name) not in found:
            metadata = catalog("get_table", database=schema, name=name)
            if metadata is None:
                where = translate.place(table)
                raise QueryError(
                    "TABLE_NOT_FOUND", f"{where}Table 'awsdatacatalog.{schema}.{name}' does not exist"
                )
            found[schema, name] = metadata
    columns: dict[str, dict[str, dict[str, str]]] = {}
    for (schema, name), metadata in found.items():
        listed = [*metadata["columns"], *metadata["partition_keys"]]
        columns.setdefault(schema, {})[name] = {column["name"].lower(): column["type"] for column in listed}
    translated = translate.translate(query, database, columns)
    scanned = 0
    for key, metadata in found.items():
        form = relations.format_of(metadata)
        chosen = partitions.choose(connection, metadata, translated.filters.get(key), catalog)
        relations.create_view(connection, metadata, chosen)
        files = [file for _, group in chosen for file in group]
        scanned += relations.bytes_scanned(connection, form, files, translated.used.get(key, set()))
    return translated, scanned


def _is_prepare(sql: str) -> bool:
    """Its `?` are those of the statement that it names, to be filled later."""
    return sql.lstrip()[:8].upper().startswith("PREPARE")


def with_parameters(sql: str, parameters: list[str]) -> str:
    """Put ExecutionParameters, which are SQL literals, in place of the `?`. Raises QueryError."""
    holes = [token for token in lexer.tokens(sql) if token.kind == "sign" and token.text == "?"]
    if len(holes) != len(parameters):
        message = f"Incorrect number of parameters: expected {len(holes)} but found {len(parameters)}"
        raise QueryError("INVALID_PARAMETER_USAGE", message)
    for hole, text in reversed(list(zip(holes, parameters, strict=True))):
        value = translate.parse(text)
        plain = value.this if isinstance(value, exp.Neg | exp.Cast) else value
        if not isinstance(plain, exp.Literal | exp.Boolean | exp.Null):
            raise QueryError("INVALID_PARAMETER_USAGE", f"parameter {text!r} is not a literal")
        sql = sql[: hole.start] + text + sql[hole.end :]
    return sql


@cache
def _macros() -> list[str]:
    text = Path(__file__).with_name("macros.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [statement for statement in "\n".join(lines).split(";\n") if statement.strip()]


def _connect(spill: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        config={
            "threads": _THREADS,
            "memory_limit": _MEMORY,
            "temp_directory": spill,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    for macro in _macros():
        connection.execute(macro)
    return connection


def _select(
    connection: duckdb.DuckDBPyConnection,
    translated: translate.Translated,
    query_id: str,
    folder: Path,
    scanned: int,
) -> dict[str, Any]:
    try:
        cursor = connection.execute(translated.sql)
        columns = describe(cursor, translated)
        rows = results.write_csv(folder / f"{query_id}.csv", columns, results.batches(cursor))
    except duckdb.Error as error:
        raise from_duckdb(error) from error
    results.write_metadata(folder / f"{query_id}.csv.metadata", columns, None)
    files = [f"{query_id}.csv", f"{query_id}.csv.metadata"]
    return {"kind": "DML", "files": files, "scanned": scanned, "rows": rows}


def _create_view(
    connection: duckdb.DuckDBPyConnection,
    statement: forms.CreateView,
    translated: translate.Translated,
    database: str | None,
    catalog: CatalogClient,
) -> None:
    """The view's types are those of its query, which is prepared for that and not run."""
    schema, name = ddl.qualified(statement.name, database)
    for position, column in enumerate(translated.columns, 1):
        if column.startswith("_col"):
            raise QueryError("MISSING_COLUMN_NAME", f"Column name not specified at position {position}")
    columns = column_types(connection.execute(f"SELECT * FROM ({translated.sql}) LIMIT 0"), translated)
    table = definitions.view_input(name, schema, statement.sql, columns)
    catalog("put_view", database=schema, table=table, replace=statement.replace)


def describe(cursor: Any, translated: translate.Translated) -> list[dict[str, Any]]:
    """The result's columns as ColumnInfo."""
    return [types.column_info(name, kind) for name, kind in column_types(cursor, translated)]


def column_types(cursor: Any, translated: translate.Translated) -> list[tuple[str, str]]:
    """The result's columns, with the query's own names and Trino's types.

    Raises QueryError where DuckDB computed another kind of number than Trino: a wrong translation, caught.
    """
    found = []
    for name, kind, column in zip(translated.columns, translated.kinds, cursor.description, strict=True):
        computed = types.trino_name(column[1])
        expected = types.trino_of(kind)
        if expected is not None and types.family(expected) != types.family(computed):
            raise QueryError(
                "NOT_SUPPORTED",
                f"column {name!r} is {expected} in Athena, local AWS computed {computed}: add a CAST",
            )
        found.append((name, expected or computed))
    return found


def _text_result(query_id: str, folder: Path, kind: str, answer: ddl.Answer) -> dict[str, Any]:
    names, rows = answer or ([], [])
    (folder / f"{query_id}.txt").write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    columns = [types.column_info(name, "varchar") for name in "\t".join(names).split("\t") if name]
    results.write_metadata(folder / f"{query_id}.txt.metadata", columns, None)
    return {
        "kind": kind,
        "files": [f"{query_id}.txt", f"{query_id}.txt.metadata"],
        "scanned": 0,
        "rows": len(rows),
    }

"""Which partitions a query reads: those that its filters on partition columns leave."""

from datetime import datetime
from typing import Any

import duckdb
from sqlglot import ErrorLevel, exp
from sqlglot.errors import SqlglotError

from local_aws.services.athena.engine import projection, types
from local_aws.services.athena.engine.ddl import CatalogClient
from local_aws.services.athena.engine.relations import identifier, literal

Chosen = list[tuple[dict[str, Any] | None, list[dict[str, Any]]]]


def choose(
    connection: duckdb.DuckDBPyConnection,
    table: dict[str, Any],
    filters: list[exp.Expr] | None,
    catalog: CatalogClient,
) -> Chosen:
    """The partitions to read with their files; one None for a table without partition keys.

    `filters`: rewritten conditions over the table's columns that hold for every row that the query uses.
    """
    if not table["partition_keys"]:
        return [(None, catalog("files", locations=[table["location"]])[0])]
    if projection.is_enabled(table):
        known = _projected(connection, table, filters or [], catalog)
    else:
        known = catalog("partitions", database=table["database"], name=table["name"])
    if filters and known:
        known = _pruned(connection, table, known, filters)
    files = catalog("files", locations=[partition["location"] for partition in known])
    return list(zip(known, files, strict=True))


def _projected(
    connection: duckdb.DuckDBPyConnection,
    table: dict[str, Any],
    filters: list[exp.Expr],
    catalog: CatalogClient,
) -> list[dict[str, Any]]:
    """Each key's values are pruned by themselves first: their product may be large."""
    now = datetime.fromisoformat(catalog("now"))
    of_keys = []
    for key in table["partition_keys"]:
        every = [{"values": [value]} for value in projection.values(table, key["name"], filters, now)]
        left = _pruned(connection, {"partition_keys": [key]}, every, filters) if every else []
        of_keys.append([partition["values"][0] for partition in left])
    return projection.partitions(table, of_keys)


def _pruned(
    connection: duckdb.DuckDBPyConnection,
    table: dict[str, Any],
    known: list[dict[str, Any]],
    filters: list[exp.Expr],
) -> list[dict[str, Any]]:
    keys = {key["name"]: types.duckdb_of_hive(key["type"]) for key in table["partition_keys"]}
    rows = ", ".join(
        f"({index}, {', '.join(literal(value) for value in partition['values'])})"
        for index, partition in enumerate(known)
    )
    names = ", ".join(identifier(name) for name in keys)
    typed = ", ".join(
        f"TRY_CAST({identifier(name)} AS {kind}) AS {identifier(name)}" for name, kind in keys.items()
    )
    usable = [
        condition
        for condition in filters
        if {column.name for column in condition.find_all(exp.Column)} <= set(keys)
        and not condition.find(exp.Query)
    ]
    if not usable:
        return known
    try:
        conditions = " AND ".join(
            f"({_bare(condition).sql('duckdb', unsupported_level=ErrorLevel.RAISE)})" for condition in usable
        )
        texts = f"(VALUES {rows}) AS p(n, {names})"
        left = connection.execute(
            f"SELECT n FROM (SELECT n, {typed} FROM {texts}) WHERE {conditions} ORDER BY n"
        ).fetchall()
    except (duckdb.Error, SqlglotError):
        return known  # only a saving: the query itself applies its filters
    return [known[index] for (index,) in left]


def _bare(condition: exp.Expr) -> exp.Expr:
    copy = condition.copy()
    for column in list(copy.find_all(exp.Column)):
        column.set("table", None)
        column.set("db", None)
    return copy

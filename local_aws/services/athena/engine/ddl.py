"""Statements that only touch the catalog. Each returns (column name, rows) for the result, or None.

`catalog` is the API side: see `catalog.py` beside this package for its operations.
"""

import fnmatch
from typing import Any, Protocol

from local_aws.services.athena.engine import definitions
from local_aws.services.athena.engine.errors import QueryError

Name = tuple[str | None, str]
Answer = tuple[list[str], list[list[str]]] | None


class CatalogClient(Protocol):
    """How the engine reaches the catalog and the objects."""

    def __call__(self, operation: str, /, **arguments: Any) -> Any: ...


def qualified(name: Name, database: str | None) -> tuple[str, str]:
    """The database and name of a table. Raises QueryError when neither says which database."""
    schema = name[0] or database
    if not schema:
        raise QueryError("MISSING_SCHEMA_NAME", "Schema must be specified when session schema is not set")
    return schema.lower(), name[1]


def table_of(catalog: CatalogClient, name: Name, database: str | None) -> dict[str, Any]:
    """A table of the catalog. Raises QueryError."""
    schema, table = qualified(name, database)
    found: dict[str, Any] | None = catalog("get_table", database=schema, name=table)
    if found is None:
        raise QueryError("TABLE_NOT_FOUND", f"Table 'awsdatacatalog.{schema}.{table}' does not exist")
    return found


def create_database(catalog: CatalogClient, database: str | None, **arguments: Any) -> Answer:
    """CREATE DATABASE."""
    del database
    catalog("create_database", **arguments)
    return None


def drop_database(catalog: CatalogClient, database: str | None, **arguments: Any) -> Answer:
    """DROP DATABASE."""
    del database
    catalog("drop_database", **arguments)
    return None


def drop_table(
    catalog: CatalogClient, database: str | None, name: Name, missing_ok: bool, is_view: bool
) -> Answer:
    """DROP TABLE and DROP VIEW; the data stays, as it does for external tables."""
    schema, table = qualified(name, database)
    found = catalog("get_table", database=schema, name=table)
    if found and bool(found["view"]) != is_view:
        kinds = ("view", "table") if is_view else ("table", "view")
        raise QueryError("DDL_FAILED", f"{schema}.{table} is not a {kinds[0]} but a {kinds[1]}")
    catalog("drop_table", database=schema, name=table, missing_ok=missing_ok)
    return None


def show_databases(catalog: CatalogClient, database: str | None, pattern: str | None) -> Answer:
    """SHOW DATABASES."""
    del database
    return ["database_name"], [[name] for name in _matching(catalog("list_databases"), pattern)]


def show_tables(catalog: CatalogClient, database: str | None, pattern: str | None, **other: Any) -> Answer:
    """SHOW TABLES [IN database] ['pattern']."""
    schema = other["database_name"] or database
    if not schema:
        raise QueryError("MISSING_SCHEMA_NAME", "Schema must be specified when session schema is not set")
    return ["tab_name"], [[name] for name in _matching(catalog("list_tables", database=schema), pattern)]


def show_views(catalog: CatalogClient, database: str | None, pattern: str | None, **other: Any) -> Answer:
    """SHOW VIEWS [IN database] ['pattern']."""
    schema = other["database_name"] or database
    if not schema:
        raise QueryError("MISSING_SCHEMA_NAME", "Schema must be specified when session schema is not set")
    names = _matching(catalog("list_tables", database=schema), pattern)
    found = [(name, catalog("get_table", database=schema, name=name)) for name in names]
    return ["views"], [[name] for name, table in found if table and table["view"]]


def prepare(catalog: CatalogClient, database: str | None, **arguments: str) -> Answer:
    """PREPARE name FROM statement."""
    del database
    catalog("prepare", **arguments)
    return None


def deallocate(catalog: CatalogClient, database: str | None, name: str) -> Answer:
    """DEALLOCATE PREPARE name."""
    del database
    catalog("deallocate", name=name)
    return None


def _matching(names: list[str], pattern: str | None) -> list[str]:
    if not pattern:
        return sorted(names)
    return sorted(
        name for name in names if any(fnmatch.fnmatchcase(name, part) for part in pattern.split("|"))
    )


def describe(catalog: CatalogClient, database: str | None, name: Name) -> Answer:
    """DESCRIBE table."""
    table = table_of(catalog, name, database)
    rows = [_described(column) for column in [*table["columns"], *table["partition_keys"]]]
    if table["partition_keys"]:
        rows += [
            ["\t \t "],
            ["# Partition Information\t \t "],
            ["# col_name\tdata_type\tcomment"],
            ["\t \t "],
        ]
        rows += [_described(column) for column in table["partition_keys"]]
    return ["col_name\tdata_type\tcomment"], rows


def _described(column: dict[str, str]) -> list[str]:
    return [f"{column['name']:<20}\t{column['type']:<20}\t{column.get('comment') or '':<20}"]


def show_columns(catalog: CatalogClient, database: str | None, name: Name) -> Answer:
    """SHOW COLUMNS IN table."""
    table = table_of(catalog, name, database)
    return ["field"], [[f"{column['name']:<20}"] for column in [*table["columns"], *table["partition_keys"]]]


def show_create_table(catalog: CatalogClient, database: str | None, name: Name) -> Answer:
    """SHOW CREATE TABLE table."""
    table = table_of(catalog, name, database)
    if table["view"]:
        raise QueryError("DDL_FAILED", f"{table['database']}.{table['name']} is a view: SHOW CREATE VIEW")
    return ["createtab_stmt"], [[line] for line in definitions.create_table(table)]


def show_create_view(catalog: CatalogClient, database: str | None, name: Name) -> Answer:
    """SHOW CREATE VIEW view."""
    table = table_of(catalog, name, database)
    if not table["view"]:
        raise QueryError("DDL_FAILED", f"{table['database']}.{table['name']} is not a view")
    return ["Create View"], [[line] for line in definitions.create_view(table)]


def show_partitions(catalog: CatalogClient, database: str | None, name: Name) -> Answer:
    """SHOW PARTITIONS table."""
    table = table_of(catalog, name, database)
    if not table["partition_keys"]:
        raise QueryError(
            "DDL_FAILED", f"Table {table['database']}.{table['name']} is not a partitioned table"
        )
    keys = [key["name"] for key in table["partition_keys"]]
    rows = [
        ["/".join(f"{key}={value}" for key, value in zip(keys, partition["values"], strict=True))]
        for partition in catalog("partitions", database=table["database"], name=table["name"])
    ]
    return ["partition"], sorted(rows)


def repair_table(catalog: CatalogClient, database: str | None, name: Name) -> Answer:
    """MSCK REPAIR TABLE: adds the partitions that are folders `key=value/` below the table's location."""
    table = table_of(catalog, name, database)
    added = catalog("repair_table", database=table["database"], name=table["name"])
    return ["repair"], [[f"Partitions not in metastore:\t{path}"] for path in added]


def add_partitions(
    catalog: CatalogClient,
    database: str | None,
    name: Name,
    partitions: list[dict[str, Any]],
    exists_ok: bool,
) -> Answer:
    """ALTER TABLE ADD PARTITION."""
    table = table_of(catalog, name, database)
    rows = [
        {"values": _ordered(table, partition["values"]), "location": partition["location"]}
        for partition in partitions
    ]
    catalog(
        "add_partitions", database=table["database"], name=table["name"], partitions=rows, exists_ok=exists_ok
    )
    return None


def drop_partitions(
    catalog: CatalogClient,
    database: str | None,
    name: Name,
    partitions: list[dict[str, str]],
    missing_ok: bool,
) -> Answer:
    """ALTER TABLE DROP PARTITION."""
    table = table_of(catalog, name, database)
    rows = [_ordered(table, values) for values in partitions]
    catalog(
        "drop_partitions",
        database=table["database"],
        name=table["name"],
        partitions=rows,
        missing_ok=missing_ok,
    )
    return None


def _ordered(table: dict[str, Any], values: dict[str, str]) -> list[str]:
    keys = [key["name"] for key in table["partition_keys"]]
    if set(keys) != set(values):
        raise QueryError(
            "DDL_FAILED", f"partition spec {values} does not name exactly the partition keys {keys}"
        )
    return [values[key] for key in keys]

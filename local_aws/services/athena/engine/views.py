"""Views: what they say is put in place of their names, before a query is translated."""

from typing import Any

from sqlglot import exp

from local_aws.services.athena.engine import definitions, translate
from local_aws.services.athena.engine.ddl import CatalogClient
from local_aws.services.athena.engine.errors import QueryError

_DEEPEST = 50


def expand(query: exp.Query, database: str | None, catalog: CatalogClient) -> exp.Query:
    """Replace the views that a query reads, and those that they read. Raises QueryError for a circle."""
    for _ in range(_DEEPEST):
        views = [
            (table, found)
            for table, schema, name in list(translate.tables(query, database))
            if (found := catalog("get_table", database=schema, name=name)) and found["view"]
        ]
        if not views:
            return query
        for table, found in views:
            table.replace(_rows(found).subquery(table.alias_or_name))
    raise QueryError("VIEW_IS_RECURSIVE", f"Statement would read views more than {_DEEPEST} deep")


def _rows(view: dict[str, Any]) -> exp.Select:
    """A view's rows: its SELECT with every table named in full, and the columns that it was made with."""
    definition = definitions.of_view(view)
    body = translate.as_query(translate.parse(definition["originalSql"]))
    for table, schema, _ in list(translate.tables(body, definition.get("schema") or view["database"])):
        table.set("db", exp.to_identifier(schema))
    columns = [exp.column(exp.to_identifier(column["name"], quoted=True)) for column in view["columns"]]
    return exp.select(*columns).from_(body.subquery("view"))

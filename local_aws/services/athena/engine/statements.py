"""Athena's statements, told apart by the parsed tree or by a small grammar.

`read(sql)` gives one of the dataclasses of forms.py; what it does not know is refused by name.
"""

import re

from sqlglot import exp

from local_aws.services.athena.engine import hive
from local_aws.services.athena.engine.commands import BY_WORD
from local_aws.services.athena.engine.errors import QueryError
from local_aws.services.athena.engine.forms import (
    Catalog,
    CreateTable,
    CreateTableAs,
    CreateView,
    Insert,
    Name,
    Select,
    Statement,
)
from local_aws.services.athena.engine.hive import clause, properties_of, settings, text_of
from local_aws.services.athena.engine.translate import as_query, parse


def read(sql: str) -> Statement:
    """The statement that a text is. Raises QueryError."""
    text = sql.strip().rstrip(";").strip()
    word = re.match(r"[A-Za-z]+", text)
    first = word[0].upper() if word else ""
    reader = BY_WORD.get(first)
    if reader:
        return reader(text)
    tree = parse(text)
    if isinstance(tree, exp.Query | exp.Values | exp.Subquery):
        return Select(as_query(tree))
    if isinstance(tree, exp.Create):
        return _create(tree)
    if isinstance(tree, exp.Drop):
        return _drop(tree)
    if isinstance(tree, exp.Insert):
        return _insert(tree)
    if isinstance(tree, exp.Describe):
        return Catalog("describe", {"name": _name(tree.this)}, kind="UTILITY")
    raise QueryError("NOT_SUPPORTED", f"{first or 'this statement'} is not computed by local AWS")


def _name(table: exp.Expr) -> Name:
    if not isinstance(table, exp.Table):
        raise QueryError("SYNTAX_ERROR", f"{table.sql('athena')} is not a table name")
    return (table.db.lower() or None), table.name.lower()


def _create(tree: exp.Create) -> Statement:
    kind = str(tree.args["kind"]).upper()
    found = properties_of(tree)
    if kind in ("DATABASE", "SCHEMA"):
        return Catalog(
            "create_database",
            {
                "name": tree.this.name.lower(),
                "exists_ok": bool(tree.args.get("exists")),
                "comment": clause(found, exp.SchemaCommentProperty),
                "location": clause(found, exp.LocationProperty),
                "parameters": settings(found),
            },
        )
    if kind == "TABLE" and tree.expression is not None:
        return _create_table_as(tree, found)
    if kind == "TABLE" and any(isinstance(item, exp.ExternalProperty) for item in found):
        return CreateTable(
            _name(tree.find(exp.Table) or tree.this), bool(tree.args.get("exists")), hive.external(tree)
        )
    if kind == "VIEW":
        return _create_view(tree)
    raise QueryError("NOT_SUPPORTED", f"CREATE {kind} without EXTERNAL is not computed by local AWS")


def _create_view(tree: exp.Create) -> CreateView:
    if not isinstance(tree.this, exp.Table) or tree.expression is None:
        raise QueryError("SYNTAX_ERROR", "CREATE VIEW takes a name and AS with a query")
    sql = tree.expression.sql("athena")
    return CreateView(_name(tree.this), bool(tree.args.get("replace")), as_query(tree.expression), sql)


def _create_table_as(tree: exp.Create, found: list[exp.Expr]) -> CreateTableAs:
    options = {key.lower(): value for key, value in settings(found).items()}
    partitioned_by: list[str] = []
    for item in found:
        if isinstance(item, exp.FileFormatProperty):
            options["format"] = text_of(item.this)
        elif isinstance(item, exp.PartitionedByProperty):
            partitioned_by = [text_of(part).lower() for part in item.this.expressions]
        elif type(item) is not exp.Property:
            raise QueryError(
                "NOT_SUPPORTED", f"CREATE TABLE AS with {item.sql('athena')} is not computed by local AWS"
            )
    return CreateTableAs(
        _name(tree.this),
        bool(tree.args.get("exists")),
        as_query(tree.expression),
        options,
        partitioned_by,
    )


def _drop(tree: exp.Drop) -> Catalog:
    kind = str(tree.args["kind"]).upper()
    targets = tree.args.get("tables") or [tree.this]
    name = _name(targets[0])
    exists_ok = bool(tree.args.get("exists"))
    if kind in ("DATABASE", "SCHEMA"):
        cascade = bool(tree.args.get("cascade"))
        return Catalog("drop_database", {"name": name[1], "missing_ok": exists_ok, "cascade": cascade})
    if kind in ("TABLE", "VIEW"):
        return Catalog("drop_table", {"name": name, "missing_ok": exists_ok, "is_view": kind == "VIEW"})
    raise QueryError("NOT_SUPPORTED", f"DROP {kind} is not computed by local AWS")


def _insert(tree: exp.Insert) -> Insert:
    target = tree.this
    columns = [part.name.lower() for part in target.expressions] if isinstance(target, exp.Schema) else []
    table = target.this if isinstance(target, exp.Schema) else target
    if tree.args.get("overwrite"):
        raise QueryError("NOT_SUPPORTED", "INSERT OVERWRITE is not supported by Athena")
    return Insert(_name(table), columns, as_query(tree.expression))

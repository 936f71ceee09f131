"""Athena's statements, told apart by the parsed tree or by a small grammar.

`read(sql)` gives one of the dataclasses below; what it does not know is refused by name.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from local_aws.services.athena.engine import types
from local_aws.services.athena.engine.errors import QueryError
from local_aws.services.athena.engine.lexer import Words
from local_aws.services.athena.engine.translate import parse

Name = tuple[str | None, str]


@dataclass(frozen=True)
class Select:
    """A query."""

    query: exp.Query
    kind: str = "DML"


@dataclass(frozen=True)
class Unload:
    """UNLOAD (query) TO 's3://...' WITH (...)."""

    query: exp.Query
    location: str
    options: dict[str, str]
    kind: str = "DML"


@dataclass(frozen=True)
class CreateTableAs:
    """CREATE TABLE name WITH (...) AS query."""

    name: Name
    exists_ok: bool
    query: exp.Query
    options: dict[str, str]
    partitioned_by: list[str]
    with_data: bool = True
    kind: str = "DDL"


@dataclass(frozen=True)
class Insert:
    """INSERT INTO name [(columns)] query."""

    name: Name
    columns: list[str]
    query: exp.Query
    kind: str = "DML"


@dataclass(frozen=True)
class CreateTable:
    """CREATE EXTERNAL TABLE; `table` is a Glue TableInput."""

    name: Name
    exists_ok: bool
    table: dict[str, Any]
    kind: str = "DDL"


@dataclass(frozen=True)
class Catalog:
    """A statement that only touches the catalog: `operation` names a function of `ddl.py`."""

    operation: str
    arguments: dict[str, Any] = field(default_factory=dict)
    kind: str = "DDL"


Statement = Select | Unload | CreateTableAs | Insert | CreateTable | Catalog


def read(sql: str) -> Statement:
    """The statement that a text is. Raises QueryError."""
    text = sql.strip().rstrip(";").strip()
    word = re.match(r"[A-Za-z]+", text)
    first = word[0].upper() if word else ""
    reader = _BY_WORD.get(first)
    if reader:
        return reader(text)
    tree = parse(text)
    if isinstance(tree, exp.Subquery):
        tree = tree.unnest()
    if isinstance(tree, exp.Query | exp.Values):
        return Select(_as_query(tree))
    if isinstance(tree, exp.Create):
        return _create(tree)
    if isinstance(tree, exp.Drop):
        return _drop(tree)
    if isinstance(tree, exp.Insert):
        return _insert(tree)
    if isinstance(tree, exp.Describe):
        return Catalog("describe", {"name": _name(tree.this)}, kind="UTILITY")
    raise QueryError("NOT_SUPPORTED", f"{first or 'this statement'} is not computed by local AWS")


def _as_query(tree: exp.Expr) -> exp.Query:
    if isinstance(tree, exp.Values):
        return exp.select("*").from_(tree)
    assert isinstance(tree, exp.Query)
    return tree


def _name(table: exp.Expr) -> Name:
    if not isinstance(table, exp.Table):
        raise QueryError("SYNTAX_ERROR", f"{table.sql('athena')} is not a table name")
    return (table.db.lower() or None), table.name.lower()


def _text(value: exp.Expr | None) -> str:
    return value.name if value is not None else ""


def _create(tree: exp.Create) -> Statement:
    kind = str(tree.args["kind"]).upper()
    properties = tree.args.get("properties")
    found = list(properties.expressions) if properties else []
    if kind in ("DATABASE", "SCHEMA"):
        return Catalog(
            "create_database",
            {
                "name": tree.this.name.lower(),
                "exists_ok": bool(tree.args.get("exists")),
                "comment": _property(found, exp.SchemaCommentProperty),
                "location": _property(found, exp.LocationProperty),
                "parameters": _table_properties(found),
            },
        )
    if kind == "TABLE" and tree.expression is not None:
        return _create_table_as(tree, found)
    if kind == "TABLE" and any(isinstance(item, exp.ExternalProperty) for item in found):
        return _external_table(tree, found)
    if kind == "VIEW":
        raise QueryError("NOT_SUPPORTED", "CREATE VIEW is not computed by local AWS")
    raise QueryError("NOT_SUPPORTED", f"CREATE {kind} without EXTERNAL is not computed by local AWS")


def _property(found: list[exp.Expr], cls: type[exp.Expr]) -> str | None:
    return next((_text(item.this) for item in found if isinstance(item, cls)), None)


def _table_properties(found: list[exp.Expr]) -> dict[str, str]:
    return {_text(item.this): _text(item.args["value"]) for item in found if type(item) is exp.Property}


def _create_table_as(tree: exp.Create, found: list[exp.Expr]) -> CreateTableAs:
    options = {key.lower(): value for key, value in _table_properties(found).items()}
    partitioned_by: list[str] = []
    for item in found:
        if isinstance(item, exp.FileFormatProperty):
            options["format"] = _text(item.this)
        elif isinstance(item, exp.PartitionedByProperty):
            partitioned_by = [_text(part).lower() for part in item.this.expressions]
        elif type(item) is not exp.Property:
            raise QueryError(
                "NOT_SUPPORTED", f"CREATE TABLE AS with {item.sql('athena')} is not computed by local AWS"
            )
    return CreateTableAs(
        _name(tree.this),
        bool(tree.args.get("exists")),
        _as_query(tree.expression.unnest()),
        options,
        partitioned_by,
    )


_FORMATS = {
    "PARQUET": (
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    ),
    "TEXTFILE": (
        "org.apache.hadoop.mapred.TextInputFormat",
        "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
    ),
}


def parquet_table(
    name: str, columns: list[dict[str, str]], partition_keys: list[dict[str, str]], location: str
) -> dict[str, Any]:
    """The Glue TableInput of an external Parquet table."""
    return _table(
        name, columns, partition_keys, location, _FORMATS["PARQUET"], {}, {"classification": "parquet"}
    )


def _table(
    name: str,
    columns: list[dict[str, str]],
    partition_keys: list[dict[str, str]],
    location: str,
    formats: tuple[str, str, str],
    serde_parameters: dict[str, str],
    parameters: dict[str, str],
) -> dict[str, Any]:
    input_format, output_format, serde = formats
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", **parameters},
        "PartitionKeys": partition_keys,
        "StorageDescriptor": {
            "Columns": columns,
            "Location": location,
            "InputFormat": input_format,
            "OutputFormat": output_format,
            "Compressed": False,
            "SerdeInfo": {"SerializationLibrary": serde, "Parameters": serde_parameters},
        },
    }


def _external_table(tree: exp.Create, found: list[exp.Expr]) -> CreateTable:
    schema = tree.this
    if not isinstance(schema, exp.Schema):
        raise QueryError("SYNTAX_ERROR", "CREATE EXTERNAL TABLE needs a list of columns")
    location = _property(found, exp.LocationProperty)
    if not location:
        raise QueryError("SYNTAX_ERROR", "CREATE EXTERNAL TABLE needs a LOCATION")
    storage, input_format, output_format = "TEXTFILE", None, None
    serde, serde_parameters, partition_keys = None, {}, []
    for item in found:
        if isinstance(item, exp.FileFormatProperty):
            if isinstance(item.this, exp.InputOutputFormat):
                input_format = _text(item.this.args["input_format"])
                output_format = _text(item.this.args["output_format"])
            else:
                storage = _text(item.this).upper()
        elif isinstance(item, exp.RowFormatSerdeProperty):
            serde = _text(item.this)
            options = item.args.get("serde_properties")
            serde_parameters = _table_properties(options.expressions) if options else {}
        elif isinstance(item, exp.RowFormatDelimitedProperty):
            serde_parameters = _delimited(item)
        elif isinstance(item, exp.PartitionedByProperty):
            partition_keys = [_column(column) for column in item.this.expressions]
    if storage not in _FORMATS:
        raise QueryError("NOT_SUPPORTED", f"STORED AS {storage} is not computed by local AWS")
    default_input, default_output, default_serde = _FORMATS[storage]
    formats = (input_format or default_input, output_format or default_output, serde or default_serde)
    columns = [_column(column) for column in schema.expressions]
    name = schema.this.name.lower()
    table = _table(
        name, columns, partition_keys, location, formats, serde_parameters, _table_properties(found)
    )
    return CreateTable(_name(schema.this), bool(tree.args.get("exists")), table)


def _column(column: exp.Expr) -> dict[str, str]:
    if not isinstance(column, exp.ColumnDef):
        raise QueryError("SYNTAX_ERROR", f"{column.sql('athena')} is not a column definition")
    definition = {"Name": column.name.lower(), "Type": types.hive_type(column.args["kind"])}
    for constraint in column.args.get("constraints") or ():
        if isinstance(constraint.kind, exp.CommentColumnConstraint):
            definition["Comment"] = _text(constraint.kind.this)
    return definition


def _delimited(item: exp.RowFormatDelimitedProperty) -> dict[str, str]:
    names = {"fields": "field.delim", "escaped": "escape.delim", "null": "serialization.null.format"}
    given = {
        names[key]: _unescaped(_text(value)) for key, value in item.args.items() if value and key in names
    }
    if "field.delim" in given:
        given["serialization.format"] = given["field.delim"]
    return given


def _unescaped(text: str) -> str:
    """Hive writes control characters as `\\t` or `\\001`."""
    named = {"\\t": "\t", "\\n": "\n", "\\\\": "\\", "\\|": "|"}
    octal = re.fullmatch(r"\\(\d{3})", text)
    return chr(int(octal[1], 8)) if octal else named.get(text, text)


def _drop(tree: exp.Drop) -> Catalog:
    kind = str(tree.args["kind"]).upper()
    targets = tree.args.get("tables") or [tree.this]
    name = _name(targets[0])
    exists_ok = bool(tree.args.get("exists"))
    if kind in ("DATABASE", "SCHEMA"):
        cascade = bool(tree.args.get("cascade"))
        return Catalog("drop_database", {"name": name[1], "missing_ok": exists_ok, "cascade": cascade})
    if kind in ("TABLE", "VIEW"):
        return Catalog("drop_table", {"name": name, "missing_ok": exists_ok})
    raise QueryError("NOT_SUPPORTED", f"DROP {kind} is not computed by local AWS")


def _insert(tree: exp.Insert) -> Insert:
    target = tree.this
    columns = [part.name.lower() for part in target.expressions] if isinstance(target, exp.Schema) else []
    table = target.this if isinstance(target, exp.Schema) else target
    if tree.args.get("overwrite"):
        raise QueryError("NOT_SUPPORTED", "INSERT OVERWRITE is not supported by Athena")
    return Insert(_name(table), columns, _as_query(tree.expression.unnest()))


def _unload(text: str) -> Unload:
    words = Words(text)
    words.need("UNLOAD")
    query = parse(words.parenthesised())
    words.need("TO")
    location = words.string()
    options: dict[str, str] = {}
    if words.take("WITH"):
        words.need("(")
        while not words.take(")"):
            key = words.next("an option").text.lower()
            words.need("=")
            if words.take("ARRAY"):
                raise QueryError(
                    "NOT_SUPPORTED", f"UNLOAD WITH ({key} = ARRAY[...]) is not computed by local AWS"
                )
            options[key] = words.next("a value").text
            words.take(",")
    words.end()
    return Unload(_as_query(query.unnest()), location, options)


def _show(text: str) -> Catalog:
    words = Words(text)
    words.need("SHOW")
    if words.take("DATABASES") or words.take("SCHEMAS"):
        pattern = _pattern(words)
        words.end()
        return Catalog("show_databases", {"pattern": pattern}, kind="UTILITY")
    if words.take("TABLES"):
        database = words.name()[1] if words.take("IN") or words.take("FROM") else None
        pattern = _pattern(words)
        words.end()
        return Catalog("show_tables", {"database": database, "pattern": pattern}, kind="UTILITY")
    for phrase, operation in (
        (("PARTITIONS",), "show_partitions"),
        (("COLUMNS", "IN"), "show_columns"),
        (("COLUMNS", "FROM"), "show_columns"),
    ):
        if words.take(*phrase):
            name = words.name()
            words.end()
            return Catalog(operation, {"name": name}, kind="UTILITY")
    raise QueryError("NOT_SUPPORTED", f"{' '.join(text.split()[:2]).upper()} is not computed by local AWS")


def _pattern(words: Words) -> str | None:
    words.take("LIKE")
    return None if words.done else words.string()


def _repair(text: str) -> Catalog:
    words = Words(text)
    words.need("MSCK", "REPAIR", "TABLE")
    name = words.name()
    words.end()
    return Catalog("repair_table", {"name": name})


def _describe(text: str) -> Catalog:
    words = Words(text)
    words.next("DESCRIBE")
    words.take("FORMATTED") or words.take("EXTENDED")
    name = words.name()
    words.end()
    return Catalog("describe", {"name": name}, kind="UTILITY")


def _alter(text: str) -> Catalog:
    words = Words(text)
    words.need("ALTER", "TABLE")
    name = words.name()
    if words.take("ADD"):
        exists_ok = words.take("IF", "NOT", "EXISTS")
        partitions = []
        while words.take("PARTITION"):
            values = _partition_values(words)
            partitions.append(
                {"values": values, "location": words.string() if words.take("LOCATION") else None}
            )
        words.end()
        if partitions:
            return Catalog("add_partitions", {"name": name, "partitions": partitions, "exists_ok": exists_ok})
    elif words.take("DROP"):
        missing_ok = words.take("IF", "EXISTS")
        dropped = []
        while words.take("PARTITION"):
            dropped.append(_partition_values(words))
            words.take(",")
        words.end()
        if dropped:
            return Catalog("drop_partitions", {"name": name, "partitions": dropped, "missing_ok": missing_ok})
    raise QueryError(
        "NOT_SUPPORTED",
        f"{' '.join(text.split()[:5]).upper()}: only ADD and DROP PARTITION are computed by local AWS",
    )


def _partition_values(words: Words) -> dict[str, str]:
    words.need("(")
    values = {}
    while not words.take(")"):
        key = words.next("a partition column").text.lower()
        words.need("=")
        values[key] = words.next("a value").text
        words.take(",")
    return values


_BY_WORD: dict[str, Callable[[str], Statement]] = {
    "UNLOAD": _unload,
    "SHOW": _show,
    "MSCK": _repair,
    "ALTER": _alter,
    "DESCRIBE": _describe,
    "DESC": _describe,
}

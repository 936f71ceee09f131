"""Hive's table definitions as the Glue catalog stores them."""

import re
from typing import Any

from sqlglot import exp

from local_aws.services.athena.engine import types
from local_aws.services.athena.engine.errors import QueryError


def text_of(value: exp.Expr | None) -> str:
    """The text of a literal or name."""
    return value.name if value is not None else ""


def properties_of(tree: exp.Create) -> list[exp.Expr]:
    """The clauses that follow the columns."""
    properties = tree.args.get("properties")
    return list(properties.expressions) if properties else []


def clause(found: list[exp.Expr], cls: type[exp.Expr]) -> str | None:
    """The text of the first clause of a kind."""
    return next((text_of(item.this) for item in found if isinstance(item, cls)), None)


def settings(found: list[exp.Expr]) -> dict[str, str]:
    """Settings of the form key = value."""
    return {text_of(item.this): text_of(item.args["value"]) for item in found if type(item) is exp.Property}


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
    "JSON": (
        "org.apache.hadoop.mapred.TextInputFormat",
        "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "org.apache.hive.hcatalog.data.JsonSerDe",
    ),
}


def written(
    name: str,
    columns: list[dict[str, str]],
    partition_keys: list[dict[str, str]],
    location: str,
    form: str,
    serde_parameters: dict[str, str],
) -> dict[str, Any]:
    """The Glue TableInput of an external table whose files Athena has written, in one of `_FORMATS`."""
    kind = {"classification": form.lower()} if form != "TEXTFILE" else {}
    return _table(name, columns, partition_keys, location, _FORMATS[form], serde_parameters, kind)


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


def external(tree: exp.Create) -> dict[str, Any]:
    """The Glue TableInput of a CREATE EXTERNAL TABLE. Raises QueryError for what is not computed."""
    found = properties_of(tree)
    schema = tree.this
    if not isinstance(schema, exp.Schema):
        raise QueryError("SYNTAX_ERROR", "CREATE EXTERNAL TABLE needs a list of columns")
    location = clause(found, exp.LocationProperty)
    if not location:
        raise QueryError("SYNTAX_ERROR", "CREATE EXTERNAL TABLE needs a LOCATION")
    storage, input_format, output_format = "TEXTFILE", None, None
    serde, partition_keys = None, []
    serde_parameters: dict[str, str] = {}
    for item in found:
        if isinstance(item, exp.FileFormatProperty):
            if isinstance(item.this, exp.InputOutputFormat):
                input_format = text_of(item.this.args["input_format"])
                output_format = text_of(item.this.args["output_format"])
            else:
                storage = text_of(item.this).upper()
        elif isinstance(item, exp.RowFormatSerdeProperty):
            serde = text_of(item.this)
            options = item.args.get("serde_properties")
            serde_parameters = settings(options.expressions) if options else {}
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
    return _table(name, columns, partition_keys, location, formats, serde_parameters, settings(found))


def _column(column: exp.Expr) -> dict[str, str]:
    if not isinstance(column, exp.ColumnDef):
        raise QueryError("SYNTAX_ERROR", f"{column.sql('athena')} is not a column definition")
    definition = {"Name": column.name.lower(), "Type": types.hive_type(column.args["kind"])}
    for constraint in column.args.get("constraints") or ():
        if isinstance(constraint.kind, exp.CommentColumnConstraint):
            definition["Comment"] = text_of(constraint.kind.this)
    return definition


def _delimited(item: exp.RowFormatDelimitedProperty) -> dict[str, str]:
    names = {"fields": "field.delim", "escaped": "escape.delim", "null": "serialization.null.format"}
    given = {
        names[key]: _unescaped(text_of(value)) for key, value in item.args.items() if value and key in names
    }
    if "field.delim" in given:
        given["serialization.format"] = given["field.delim"]
    return given


def _unescaped(text: str) -> str:
    """Hive writes control characters as `\\t` or `\\001`."""
    named = {"\\t": "\t", "\\n": "\n", "\\\\": "\\", "\\|": "|"}
    octal = re.fullmatch(r"\\(\d{3})", text)
    return chr(int(octal[1], 8)) if octal else named.get(text, text)

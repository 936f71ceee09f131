"""What tables and views say of themselves: the catalog's text of a view, and SHOW CREATE.

The catalog keeps a view as Presto does, in the table's ViewOriginalText: a comment around the base64 of a
JSON document with its SQL, the schema that its unqualified names belong to, and its columns.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from local_aws.services.athena.engine import types
from local_aws.services.athena.engine.errors import QueryError

_OPEN, _CLOSE = "/* Presto View: ", " */"


def view_input(name: str, schema: str, sql: str, columns: list[tuple[str, str]]) -> dict[str, Any]:
    """The Glue TableInput of a view. `columns`: names and Trino types."""
    definition = {
        "originalSql": sql,
        "catalog": "awsdatacatalog",
        "schema": schema,
        "columns": [{"name": column, "type": kind} for column, kind in columns],
    }
    encoded = base64.b64encode(json.dumps(definition).encode()).decode()
    return {
        "Name": name,
        "TableType": "VIRTUAL_VIEW",
        "Parameters": {"presto_view": "true", "comment": "Presto View"},
        "ViewOriginalText": f"{_OPEN}{encoded}{_CLOSE}",
        "ViewExpandedText": "/* Presto View */",
        "PartitionKeys": [],
        "StorageDescriptor": {
            "Columns": [{"Name": column, "Type": types.hive_name(kind)} for column, kind in columns],
            "Location": "",
            "SerdeInfo": {},
        },
    }


def of_view(view: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a view: originalSql, schema, columns. Raises QueryError when there is none."""
    text = view["view"]
    try:
        found: dict[str, Any] = json.loads(base64.b64decode(text.removeprefix(_OPEN).removesuffix(_CLOSE)))
        found["originalSql"]
    except (binascii.Error, ValueError, KeyError) as error:
        name = f"{view['database']}.{view['name']}"
        raise QueryError("INVALID_VIEW", f"the catalog's text of view {name} is not a Presto view") from error
    return found


def create_view(view: Mapping[str, Any]) -> list[str]:
    """The lines of SHOW CREATE VIEW."""
    return [f"CREATE VIEW {view['database']}.{view['name']} AS", *of_view(view)["originalSql"].splitlines()]


def create_table(table: Mapping[str, Any]) -> list[str]:
    """The lines of SHOW CREATE TABLE, as Hive writes them."""
    lines = [f"CREATE EXTERNAL TABLE `{table['database']}.{table['name']}`("]
    lines += _listed([_column(column) for column in table["columns"]])
    if table["partition_keys"]:
        lines += ["PARTITIONED BY ( ", *_listed([_column(column) for column in table["partition_keys"]])]
    lines += ["ROW FORMAT SERDE ", f"  {_quoted(table['serde'])} "]
    if table["serde_parameters"]:
        lines += ["WITH SERDEPROPERTIES ( ", *_listed(_pairs(table["serde_parameters"]))]
    lines += ["STORED AS INPUTFORMAT ", f"  {_quoted(table['input_format'])} "]
    lines += ["OUTPUTFORMAT ", f"  {_quoted(table['output_format'])}"]
    lines += ["LOCATION", f"  {_quoted(table['location'])}"]
    properties = {key: value for key, value in table["parameters"].items() if key != "EXTERNAL"}
    if properties:
        lines += ["TBLPROPERTIES (", *_listed(_pairs(properties))]
    return lines


def _listed(items: list[str]) -> list[str]:
    return [f"  {item}, " for item in items[:-1]] + [f"  {item})" for item in items[-1:]]


def _column(column: Mapping[str, str]) -> str:
    comment = f" COMMENT {_quoted(column['comment'])}" if column.get("comment") else ""
    return f"`{column['name']}` {column['type']}{comment}"


def _pairs(values: Mapping[str, str]) -> list[str]:
    return [f"{_quoted(key)}={_quoted(value)}" for key, value in sorted(values.items())]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"

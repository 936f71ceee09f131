"""Types of one column in its three spellings: Hive's (the catalog), Trino's (results), DuckDB's (the engine).

sqlglot's `DataType` is the common form.
"""

from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from local_aws.services.athena.engine.errors import QueryError

_SIMPLE = {
    "TINYINT": "tinyint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "FLOAT": "float",  # Trino's real; Athena's ColumnInfo says float
    "DOUBLE": "double",
    "BOOLEAN": "boolean",
    "VARCHAR": "varchar",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "TIME": "time",
    "BLOB": "varbinary",
    "JSON": "json",
    '"NULL"': "unknown",
    "HUGEINT": "bigint",
    "UTINYINT": "bigint",
    "USMALLINT": "bigint",
    "UINTEGER": "bigint",
    "UBIGINT": "bigint",
    "INTERVAL": "interval day to second",
    "UUID": "varchar",
}
_PRECISION = {
    "tinyint": 3,
    "smallint": 5,
    "integer": 10,
    "bigint": 19,
    "float": 17,
    "double": 17,
    "varchar": 2147483647,
    "varbinary": 1073741824,
    "timestamp": 3,
    "timestamp with time zone": 3,
    "time": 3,
}
_HIVE = {"integer": "int", "varchar": "string", "varbinary": "binary"}


def from_hive(text: str) -> exp.DataType:
    """A type as the Glue catalog spells it, e.g. `array<struct<a:int>>`. Raises QueryError."""
    try:
        return exp.DataType.build(text.strip(), dialect="hive")
    except SqlglotError as error:
        raise QueryError("HIVE_INVALID_METADATA", f"column type {text!r} is not understood") from error


def duckdb_sql(kind: exp.DataType) -> str:
    """DuckDB's spelling; character lengths are dropped, which DuckDB ignores as well."""
    return kind.sql("duckdb")


def duckdb_of_hive(text: str) -> str:
    """DuckDB's spelling of a catalog type."""
    return duckdb_sql(from_hive(text))


def trino_name(duck: Any) -> str:
    """Trino's name of the type of a DuckDB result column (a `DuckDBPyType`), with its parameters."""
    kind = duck.id
    if kind == "decimal":
        (_, precision), (_, scale) = duck.children
        return f"decimal({precision},{scale})"
    if kind in ("list", "array"):
        return f"array({trino_name(duck.children[0][1])})"
    if kind == "map":
        (_, key), (_, value) = duck.children
        return f"map({trino_name(key)}, {trino_name(value)})"
    if kind == "struct":
        return "row(" + ", ".join(f"{name} {trino_name(child)}" for name, child in duck.children) + ")"
    return _SIMPLE.get(str(duck), "varchar")


_NUMBERS = {
    exp.DType.TINYINT: "tinyint",
    exp.DType.SMALLINT: "smallint",
    exp.DType.INT: "integer",
    exp.DType.BIGINT: "bigint",
    exp.DType.FLOAT: "float",
    exp.DType.DOUBLE: "double",
}
_FAMILY = {"tinyint": "integer", "smallint": "integer", "integer": "integer", "bigint": "integer"}


def trino_of(kind: exp.DataType) -> str | None:
    """Trino's name of an inferred number type; None for other types and where nothing could be inferred."""
    if kind.is_type(exp.DType.DECIMAL) and len(kind.expressions) == 2:
        return f"decimal({kind.expressions[0].name},{kind.expressions[1].name})"
    return _NUMBERS.get(kind.this)


def family(trino: str) -> str:
    """What a number is: integer, decimal with its scale, float or double; other types as they are."""
    if trino.startswith("decimal"):
        return "decimal of scale " + trino[8:-1].split(",")[1].strip()
    return _FAMILY.get(trino, trino)


def hive_name(trino: str) -> str:
    """The catalog's spelling of a Trino type."""
    kind = exp.DataType.build(trino, dialect="trino")
    return hive_type(kind)


def hive_type(kind: exp.DataType) -> str:
    """The catalog's spelling of a type."""
    inner = kind.expressions
    if kind.is_type(exp.DType.ARRAY):
        return f"array<{hive_type(inner[0])}>"
    if kind.is_type(exp.DType.MAP):
        return f"map<{hive_type(inner[0])},{hive_type(inner[1])}>"
    if kind.is_type(exp.DType.STRUCT):
        return "struct<" + ",".join(f"{part.name}:{hive_type(part.args['kind'])}" for part in inner) + ">"
    text = kind.sql("trino").lower().replace(" ", "")
    return _HIVE.get(text, text)


def column_info(name: str, trino: str) -> dict[str, Any]:
    """A column as GetQueryResults describes it."""
    base = trino.split("(")[0]
    precision, scale = _PRECISION.get(base, 0), 0
    if base == "decimal":
        precision, scale = (int(part) for part in trino[8:-1].split(","))
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": name,
        "Label": name,
        "Type": base,
        "Precision": precision,
        "Scale": scale,
        "Nullable": "UNKNOWN",
        "CaseSensitive": base in ("varchar", "char"),
    }

"""How a query fails: Trino's error name, Athena's numeric type, and the text that a client reads."""

import re
from typing import Any

# Athena's error catalogue (AthenaError.ErrorType), by the name that begins the reason.
_TYPES = {
    "SYNTAX_ERROR": 1006,
    "COLUMN_NOT_FOUND": 1006,
    "TYPE_MISMATCH": 1006,
    "MISSING_COLUMN_NAME": 1006,
    "TABLE_NOT_FOUND": 1110,
    "SCHEMA_NOT_FOUND": 1301,
    "FUNCTION_NOT_FOUND": 1303,
    "NOT_SUPPORTED": 1200,
    "INVALID_FUNCTION_ARGUMENT": 1106,
    "INVALID_CAST_ARGUMENT": 1100,
    "NUMERIC_VALUE_OUT_OF_RANGE": 1100,
    "DIVISION_BY_ZERO": 1100,
    "HIVE_BAD_DATA": 1001,
    "HIVE_CANNOT_OPEN_SPLIT": 1001,
    "BUCKET_NOT_FOUND": 1306,
    "HIVE_PATH_ALREADY_EXISTS": 1100,
    "DDL_FAILED": 1003,
    "GENERIC_USER_ERROR": 1000,
}
_RAISED = "RAISED:"


class QueryError(Exception):
    """A query failed by its user's doing. `name` is Trino's error name; `message` what follows it."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message

    @property
    def error_type(self) -> int:
        """Athena's number for this kind of error."""
        return _TYPES.get(self.name, 1000)

    def as_dict(self) -> dict[str, Any]:
        """What the API side stores of it: StateChangeReason and AthenaError."""
        return {"reason": str(self), "error_type": self.error_type, "category": 2}


def at(line: int | None, column: int | None) -> str:
    """`line 1:8: `, or nothing where the place is not known."""
    return f"line {line}:{column}: " if line and column else ""


def from_duckdb(error: Exception) -> QueryError:
    """The Trino error that a DuckDB error stands for."""
    text = str(error).split("\n\n")[0].strip()
    kind = type(error).__name__
    if _RAISED in text:
        name, _, message = text.split(_RAISED, 1)[1].rsplit("' to INT32", 1)[0].partition(": ")
        return QueryError(name, message)
    if "Division by zero" in text:
        return QueryError("DIVISION_BY_ZERO", "Division by zero")
    message = re.sub(r"^(Invalid Input|Conversion|Out of Range|Binder|Catalog|Parser|IO) Error: ", "", text)
    if kind == "OutOfRangeException":
        return QueryError("NUMERIC_VALUE_OUT_OF_RANGE", message)
    if kind == "ConversionException":
        return QueryError("INVALID_CAST_ARGUMENT", message)
    if kind in ("BinderException", "ParserException"):
        return QueryError("SYNTAX_ERROR", message)
    if kind == "CatalogException":
        return QueryError("FUNCTION_NOT_FOUND", message)
    if kind in ("IOException", "InvalidInputException"):
        return QueryError("HIVE_BAD_DATA", message)
    return QueryError("GENERIC_USER_ERROR", message)


def raising(name: str, message: str) -> str:
    """DuckDB SQL that fails with this error when it is evaluated; `message` is a DuckDB SQL expression.

    A failing cast, because DuckDB's own `error()` may not stand inside TRY.
    """
    return f"CAST('{_RAISED}{name}: ' || {message} AS INTEGER)"

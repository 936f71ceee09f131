"""What a statement can be."""

from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

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
    partitioned_by: list[str]
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
class CreateView:
    """CREATE [OR REPLACE] VIEW name AS query; `sql` is the query's text."""

    name: Name
    replace: bool
    query: exp.Query
    sql: str
    kind: str = "DDL"


@dataclass(frozen=True)
class Catalog:
    """A statement that only touches the catalog: `operation` names a function of `ddl.py`."""

    operation: str
    arguments: dict[str, Any] = field(default_factory=dict)
    kind: str = "DDL"


Statement = Select | Unload | CreateTableAs | Insert | CreateTable | CreateView | Catalog

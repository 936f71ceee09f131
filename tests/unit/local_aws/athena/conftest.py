"""An engine without an API side: a catalog of tables in a dict, their files in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local_aws.services.athena import pages
from local_aws.services.athena.engine import execute
from local_aws.services.athena.engine.errors import QueryError, from_duckdb


@dataclass
class Result:
    header: list[str | None]
    rows: list[list[str | None]]
    types: list[str]
    scanned: int


@dataclass
class Engine:
    folder: Path
    tables: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    partitions: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, sql: str, parameters: list[str] | None = None) -> Result:
        request = {
            "id": "q",
            "sql": sql,
            "database": "db",
            "parameters": parameters,
            "folder": str(self.folder),
        }
        try:
            done = execute.run(request, self._catalog)
        except execute.duckdb.Error as error:
            raise from_duckdb(error) from error
        with (self.folder / "q.csv").open("rb") as file:
            rows, _ = pages.page(file, 0, 10_000, is_csv=True)
        columns = json.loads((self.folder / "q.csv.metadata").read_text())["columns"]
        return Result(rows[0], rows[1:], [column["Type"] for column in columns], done["scanned"])

    def values(self, expressions: str) -> list[str | None]:
        """The one row of `SELECT expressions`."""
        (row,) = self(f"SELECT {expressions}").rows
        return row

    def error(self, sql: str) -> str:
        """What the query fails with."""
        with pytest.raises(QueryError) as caught:
            self(sql)
        return str(caught.value)

    def table(self, name: str, columns: dict[str, str], files: dict[str, bytes], **other: Any) -> None:
        """Define a table over files below s3://lake/NAME/."""
        folder = self.folder / "lake" / name
        for file, content in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.tables["db", name] = {
            "database": "db",
            "name": name,
            "columns": [{"name": key, "type": kind} for key, kind in columns.items()],
            "partition_keys": [],
            "location": f"s3://lake/{name}/",
            "serde": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
            "view": None,
            "serde_parameters": {"field.delim": ","},
            "parameters": {},
            **other,
        }

    def _catalog(self, operation: str, /, **arguments: Any) -> Any:
        self.calls.append((operation, arguments))
        if operation == "get_table":
            return self.tables.get((arguments["database"], arguments["name"]))
        if operation == "partitions":
            return self.partitions[arguments["database"], arguments["name"]]
        if operation == "files":
            return [self._files(location) for location in arguments["locations"]]
        return None

    def _files(self, location: str) -> list[dict[str, Any]]:
        folder = self.folder / location.removeprefix("s3://")
        return [
            {"path": str(path), "uri": f"s3://{path.relative_to(self.folder)}", "size": path.stat().st_size}
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path)


@pytest.fixture
def with_sample(engine: Engine) -> Engine:
    """An engine with table `t`: one row, columns of most types."""
    engine.table(
        "t",
        {
            "a": "int",
            "b": "int",
            "c": "bigint",
            "d": "double",
            "s": "string",
            "price": "decimal(10,2)",
            "ts": "timestamp",
            "dt": "date",
            "flag": "boolean",
        },
        {"part": b"7,2,9,1.5,x-y,10.25,2024-01-31 10:00:00.5,2024-01-31,true\n"},
    )
    return engine

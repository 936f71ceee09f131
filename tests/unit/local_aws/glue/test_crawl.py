"""What a crawler makes of files: formats, headers, types, and which folders are one table."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from local_aws.services.glue.crawl import datasets, globs
from local_aws.services.glue.crawl.schema import Schema, read


def schema_of(tmp_path: Path, content: bytes) -> Schema | None:
    path = tmp_path / "file"
    path.write_bytes(content)
    return read(path, len(content))


@pytest.mark.parametrize(
    ("text", "columns", "header", "delimiter", "rows"),
    [
        ("name,age\nann,3\nbob,4\n", {"name": "string", "age": "bigint"}, True, ",", 2),
        ("1|2.5\n2|3\n", {"col0": "bigint", "col1": "double"}, False, "|", 2),
        ("a;b\nc;d\n", {"col0": "string", "col1": "string"}, False, ";", 2),  # no column tells a header
        ("x\ty\n1\t\n\t2\n", {"x": "bigint", "y": "bigint"}, True, "\t", 2),
        ('q,n\n"a,b",1\n', {"q": "string", "n": "bigint"}, True, ",", 1),
        ("1,1\n1,x\n", {"col0": "bigint", "col1": "string"}, False, ",", 2),
        ("n,n\n1,2\n", {"col0": "string", "col1": "string"}, False, ",", 2),  # a header names a column once
    ],
)
def test_csv(
    tmp_path: Path, text: str, columns: dict[str, str], header: bool, delimiter: str, rows: int
) -> None:
    found = schema_of(tmp_path, text.encode())
    assert found == Schema("csv", columns, rows, delimiter, header)


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        {"Id": 1, "big": 2**40, "tags": ["a"], "at": {"lat": 1, "name": None}, "ok": True},
        {"Id": 2.5, "tags": [], "at": {"lat": 0.5}, "late": "x", "ok": 1},
    ]
    found = schema_of(tmp_path, gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    assert found == Schema(
        "json",
        {
            "id": "double",
            "big": "bigint",
            "tags": "array<string>",
            "at": "struct<lat:double,name:string>",
            "ok": "string",
            "late": "string",
        },
        2,
        compression="gzip",
    )


def test_parquet(tmp_path: Path) -> None:
    table = pa.table(
        {
            "Small": pa.array([1, 2], pa.int32()),
            "money": pa.array([1, 2], pa.decimal128(10, 2)),
            "when": pa.array([0, 1], pa.timestamp("ms")),
            "list": pa.array([[1.0], []], pa.list_(pa.float32())),
            "pairs": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
            "row": pa.array([{"a": True}, None], pa.struct([("a", pa.bool_())])),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "file")
    found = read(tmp_path / "file", 1)
    assert found is not None
    assert (found.classification, found.rows) == ("parquet", 2)
    assert found.columns == {
        "small": "int",
        "money": "decimal(10,2)",
        "when": "timestamp",
        "list": "array<float>",
        "pairs": "map<string,bigint>",
        "row": "struct<a:boolean>",
    }


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"words\nand more words\n", b"\x00\x01,\x02\n", b"PAR1 cut"]
)
def test_what_is_none_of_these_is_left_out(tmp_path: Path, content: bytes) -> None:
    assert schema_of(tmp_path, content) is None


CSV = Schema("csv", {"a": "bigint", "b": "string"}, 1, ",", True)
WIDER = Schema("csv", {"a": "double", "b": "string"}, 1, ",", True)
OTHER = Schema("json", {"x": "int"}, 1)


def find(files: Mapping[str, Schema | None], level: int | None = None) -> dict[str, datasets.Dataset]:
    listed = [datasets.File(tuple(key.split("/")), 10) for key in files]
    found = datasets.find(listed, lambda file: files["/".join(file.parts)], level)
    return {"/".join(table.path): table for table in found}


def test_folders_of_one_shape_are_partitions() -> None:
    found = find({"y=1/m=1/f": CSV, "y=1/m=2/f": WIDER, "y=2/m=1/f": CSV})[""]
    assert found.keys() == ["y", "m"]
    assert found.partitions == [("y=1", "m=1"), ("y=1", "m=2"), ("y=2", "m=1")]
    assert found.schema.columns == {"a": "double", "b": "string"}
    assert (found.files, found.size, found.schema.rows) == (3, 30, 3)


def test_folders_without_names_are_numbered() -> None:
    assert find({"2024/01/f": CSV, "2024/02/f": CSV})[""].keys() == ["partition_0", "partition_1"]


def test_folders_of_different_shapes_are_tables() -> None:
    found = find({"people/d=1/f": CSV, "people/d=2/f": CSV, "events/f": OTHER, "events/none": None})
    assert {name: table.keys() for name, table in found.items()} == {"people": ["d"], "events": []}


def test_files_of_different_shapes_are_tables() -> None:
    found = find({"one.csv": CSV, "two.json": OTHER})
    assert sorted(found) == ["one.csv", "two.json"]


def test_folders_of_different_depths_are_tables() -> None:
    assert sorted(find({"a/f": CSV, "b/d=1/f": CSV, "b/d=2/f": CSV})) == ["a", "b"]


def test_a_table_level_keeps_tables_apart() -> None:
    files = {"a/d=1/f": CSV, "b/d=1/f": CSV}
    assert sorted(find(files)) == [""]
    assert {name: table.keys() for name, table in find(files, 1).items()} == {"a": ["d"], "b": ["d"]}


@pytest.mark.parametrize(
    ("pattern", "matches", "does_not"),
    [
        ("*.csv", ["a.csv"], ["a/b.csv", "acsv"]),
        ("**.csv", ["a.csv", "a/b.csv"], ["a.json"]),
        ("year=20??/**", ["year=2024/f"], ["year=204/f"]),
        ("{a,b}[0-9]", ["a1", "b2"], ["c1", "a"]),
        ("[!a]x", ["bx"], ["ax"]),
        (r"\*", ["*"], ["a"]),
    ],
)
def test_exclusions(pattern: str, matches: list[str], does_not: list[str]) -> None:
    compiled = globs.compiled(pattern)
    assert all(compiled.fullmatch(text) for text in matches)
    assert not any(compiled.fullmatch(text) for text in does_not)


def test_an_exclusion_that_is_no_pattern_is_named() -> None:
    with pytest.raises(ValueError, match=r"'\{a' is not a glob pattern: a \{ has no \}"):
        globs.compiled("{a")

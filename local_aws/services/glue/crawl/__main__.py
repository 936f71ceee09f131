"""`python -m local_aws.services.glue.crawl PLAN RESULT`: read the files of a plan, write the tables found.

PLAN: {"targets": [{"uri", "exclusions", "files": [{"key", "path", "size"}]}], "table_level": int | null}.
RESULT: {"tables": [{"uri", "name", "schema", "keys", "partitions", "files", "size"}]}.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from local_aws.services.glue.crawl import datasets
from local_aws.services.glue.crawl.schema import Schema, read


def main(plan_path: Path, result_path: Path) -> None:
    plan = json.loads(plan_path.read_text())
    tables = [table for target in plan["targets"] for table in _crawl(target, plan["table_level"])]
    for table in tables:
        print(f"INFO : Table {table['name']} at {table['uri']}: {len(table['schema']['columns'])} columns")
    part = result_path.with_suffix(".part")
    part.write_text(json.dumps({"tables": tables}))
    part.replace(result_path)


def _crawl(target: dict[str, Any], table_level: int | None) -> list[dict[str, Any]]:
    bucket, _, prefix = target["uri"].removeprefix("s3://").partition("/")
    base = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
    if any(file["key"] == prefix for file in target["files"]):
        base = prefix.rpartition("/")[0] + "/" if "/" in prefix else ""  # the target is one object
    known = {tuple(file["key"].removeprefix(base).split("/")): file for file in target["files"]}
    print(f"INFO : {len(known)} objects at {target['uri']}")

    def schema_of(file: datasets.File) -> Schema | None:
        found = known[file.parts]
        schema = read(Path(found["path"]), found["size"])
        if schema is None:
            print(f"WARN : s3://{bucket}/{found['key']} is neither CSV, JSON lines nor Parquet: left out")
        return schema

    files = [datasets.File(parts, file["size"]) for parts, file in sorted(known.items())]
    level = None if table_level is None else max(0, table_level - len([bucket, *base.split("/")[:-1]]))

    def uri_of(table: datasets.Dataset) -> str:
        folder = "" if table.is_file or not table.path else "/"
        return f"s3://{bucket}/{base}{'/'.join(table.path)}{folder}"

    return [
        {
            "uri": uri_of(table),
            "name": (*base.split("/")[:-1], *table.path)[-1] if base or table.path else bucket,
            "schema": asdict(table.schema),
            "keys": table.keys(),
            "partitions": table.partitions,
            "files": table.files,
            "size": table.size,
        }
        for table in datasets.find(files, schema_of, level)
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

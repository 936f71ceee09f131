"""What a crawl found, put into the catalog: tables created, updated or marked, partitions added."""

from __future__ import annotations

import json
import re
from typing import Any

from moto.glue.exceptions import EntityNotFoundException
from moto.glue.models import GlueBackend

_TEXT = (
    "org.apache.hadoop.mapred.TextInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
)
_FORMATS = {
    "csv": (*_TEXT, "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"),
    "json": (*_TEXT, "org.openx.data.jsonserde.JsonSerDe"),
    "parquet": (
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    ),
}
Found = dict[str, Any]  # an entry of `crawl`'s result


def put(backend: GlueBackend, crawler: str, settings: dict[str, Any], tables: list[Found]) -> dict[str, int]:
    """Bring the catalog to what was found; returns how many tables were created, updated and deleted.

    `settings`: the crawler as GetCrawler answers it. The database is made when there is none. A table whose
    data is gone is dealt with by the crawler's DeleteBehavior, if this crawler made it.
    """
    name = settings["DatabaseName"]
    try:
        database = backend.get_database(name)
    except EntityNotFoundException:
        backend.create_database(name, {"Name": name})
        database = backend.get_database(name)
    policy = settings["SchemaChangePolicy"]
    counts = {"created": 0, "updated": 0, "deleted": 0}
    seen: set[str] = set()
    for found in tables:
        table_name = _name(settings.get("TablePrefix", ""), found, seen)
        seen.add(table_name)
        wanted = table_input(table_name, crawler, found)
        present = database.tables.get(table_name)
        if present is None:
            backend.create_table(name, table_name, wanted)
            counts["created"] += 1
        elif policy["UpdateBehavior"] == "UPDATE_IN_DATABASE":
            current = present.as_dict()
            if _merges(settings):
                wanted["StorageDescriptor"]["Columns"] = _merged(current, wanted)
            if _shape(current) != _shape(wanted):
                backend.update_table(name, table_name, wanted)
                counts["updated"] += 1
        _put_partitions(backend, name, table_name, found)
    for table_name, table in list(database.tables.items()):
        parameters = table.as_dict().get("Parameters") or {}
        if parameters.get("UPDATED_BY_CRAWLER") == crawler and table_name not in seen:
            counts["deleted"] += _retire(backend, name, table_name, policy["DeleteBehavior"])
    return counts


def table_input(name: str, crawler: str, found: Found) -> dict[str, Any]:
    """The Glue TableInput of a table that was found."""
    schema = found["schema"]
    input_format, output_format, serde = _FORMATS[schema["classification"]]
    columns = schema["columns"]
    parameters = {
        "UPDATED_BY_CRAWLER": crawler,
        "CrawlerSchemaSerializerVersion": "1.0",
        "CrawlerSchemaDeserializerVersion": "1.0",
        "classification": schema["classification"],
        "compressionType": schema["compression"],
        "typeOfData": "file",
        "objectCount": str(found["files"]),
        "sizeKey": str(found["size"]),
        "recordCount": str(schema["rows"]),
        "averageRecordSize": str(found["size"] // max(1, schema["rows"])),
    }
    serde_parameters = {
        "csv": {"field.delim": schema["delimiter"]},
        "json": {"paths": ",".join(columns)},
        "parquet": {"serialization.format": "1"},
    }[schema["classification"]]
    if schema["classification"] == "csv":
        parameters |= {
            "delimiter": schema["delimiter"],
            "columnsOrdered": "true",
            "areColumnsQuoted": "false",
        }
        if schema["header"]:
            parameters["skip.header.line.count"] = "1"
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in found["keys"]],
        "StorageDescriptor": {
            "Columns": [{"Name": column, "Type": kind} for column, kind in columns.items()],
            "Location": found["uri"],
            "InputFormat": input_format,
            "OutputFormat": output_format,
            "Compressed": schema["compression"] != "none",
            "NumberOfBuckets": -1,
            "SerdeInfo": {"SerializationLibrary": serde, "Parameters": serde_parameters},
            "Parameters": parameters,
            "StoredAsSubDirectories": False,
        },
    }


def _name(prefix: str, found: Found, taken: set[str]) -> str:
    name = prefix + re.sub(r"[^a-z0-9_]", "_", found["name"].lower())
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    return unique


def _put_partitions(backend: GlueBackend, database: str, name: str, found: Found) -> None:
    table = backend.get_table(database, name)
    storage = table.as_dict()["StorageDescriptor"]
    for folders in found["partitions"]:
        values = [
            folder.split("=", 1)[1] if not key.startswith("partition_") else folder
            for key, folder in zip(found["keys"], folders, strict=True)
        ]
        if str(values) not in table.partitions:
            location = f"{storage['Location'].rstrip('/')}/{'/'.join(folders)}/"
            described = {"Values": values, "StorageDescriptor": {**storage, "Location": location}}
            table.create_partition(described)


def _retire(backend: GlueBackend, database: str, name: str, behaviour: str) -> int:
    if behaviour == "DELETE_FROM_DATABASE":
        backend.delete_table(database, name)
        return 1
    if behaviour == "DEPRECATE_IN_DATABASE":
        table = {
            key: value
            for key, value in backend.get_table(database, name).as_dict().items()
            if key in ("Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
        }
        table["Parameters"] = {**table["Parameters"], "DEPRECATED_BY_CRAWLER": "true"}
        backend.update_table(database, name, table)
    return 0


def _merges(settings: dict[str, Any]) -> bool:
    output = json.loads(settings.get("Configuration") or "{}").get("CrawlerOutput") or {}
    return (output.get("Tables") or {}).get("AddOrUpdateBehavior") == "MergeNewColumns"


def _merged(current: dict[str, Any], wanted: dict[str, Any]) -> list[dict[str, str]]:
    kept = current["StorageDescriptor"]["Columns"]
    names = {column["Name"] for column in kept}
    return kept + [c for c in wanted["StorageDescriptor"]["Columns"] if c["Name"] not in names]


def _shape(table: dict[str, Any]) -> list[Any]:
    """What makes an update one: columns, keys, place and format."""
    storage = table["StorageDescriptor"]
    columns = [(column["Name"], column["Type"]) for column in storage["Columns"]]
    keys = [key["Name"] for key in table.get("PartitionKeys") or ()]
    return [columns, keys, storage["Location"], storage.get("SerdeInfo")]

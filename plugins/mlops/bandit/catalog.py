"""The experiment's tables in the Glue catalog: what its streams deliver, and what its joins make of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops.bandit.experiment import Experiment

Columns = Sequence[tuple[str, str]]

EVENT: Columns = (
    ("event_id", "string"),
    ("action", "string"),
    ("action_prob", "double"),
    ("model_id", "string"),
    ("observation", "string"),
    ("arms", "string"),
    ("sample_prob", "double"),
    ("timestamp", "double"),
    ("probabilities", "string"),
)
REWARD: Columns = (("event_id", "string"), ("reward", "double"), ("timestamp", "double"))
JOINED: Columns = (
    *EVENT,
    ("reward", "double"),
    ("rewarded_at", "double"),
    ("reward_source", "string"),
    ("reason", "string"),
)

JSON_FORMAT = (
    "org.apache.hadoop.mapred.TextInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    "org.openx.data.jsonserde.JsonSerDe",
)
PARQUET_FORMAT = (
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
)

# Table -> columns, partition keys, format, folder. Observations are partitioned by the hour of their arrival,
# rewards by the join that claimed them, joined rows by their join and by what became of them.
TABLES: dict[str, tuple[Columns, Sequence[str], tuple[str, str, str], str]] = {
    "observations": (EVENT, ("dt",), JSON_FORMAT, "inference_data/"),
    "rewards": (REWARD, ("join_id",), JSON_FORMAT, "claimed/"),
    "joined": (JOINED, ("join_id", "outcome"), PARQUET_FORMAT, "joined/"),
    "logged": ((*EVENT, ("reward", "double")), (), JSON_FORMAT, "warm_start/"),
}
BATCH = 100  # partitions that one call of Glue takes


def create_tables(glue: Any, experiment: Experiment) -> None:
    """Create the experiment's tables, or bring them up to date."""
    database = experiment.settings.glue_database
    for kind in TABLES:
        table = _table(experiment, kind)
        try:
            glue.create_table(DatabaseName=database, TableInput=table)
        except glue.exceptions.AlreadyExistsException:
            glue.update_table(DatabaseName=database, TableInput=table)


def add_partitions(glue: Any, experiment: Experiment, kind: str, values: Iterable[str]) -> None:
    """Register partitions of a table with one key; those that are there stay as they are."""
    _, (key, *_), form, folder = TABLES[kind]
    columns = TABLES[kind][0]
    inputs = [
        {
            "Values": [value],
            "StorageDescriptor": _storage(columns, form, experiment.s3(f"{folder}{key}={value}/")),
        }
        for value in values
    ]
    for begin in range(0, len(inputs), BATCH):
        answer = glue.batch_create_partition(
            DatabaseName=experiment.settings.glue_database,
            TableName=experiment.table(kind),
            PartitionInputList=inputs[begin : begin + BATCH],
        )
        for error in answer.get("Errors", []):
            detail = error["ErrorDetail"]
            if detail["ErrorCode"] != "AlreadyExistsException":
                raise RuntimeError(
                    f"partition {error['PartitionValues']} of {experiment.table(kind)}: "
                    f"{detail['ErrorCode']}: {detail.get('ErrorMessage')}"
                )


def drop_partitions(glue: Any, experiment: Experiment, join_id: str) -> None:
    """Forget the joined partitions of one join; their objects are the caller's to delete."""
    names = {"DatabaseName": experiment.settings.glue_database, "TableName": experiment.table("joined")}
    pages = glue.get_paginator("get_partitions").paginate(**names, Expression=f"join_id = '{join_id}'")
    values = [partition["Values"] for page in pages for partition in page["Partitions"]]
    mine = [item for item in values if item[0] == join_id]
    if mine:
        glue.batch_delete_partition(**names, PartitionsToDelete=[{"Values": item} for item in mine])


def delete_tables(glue: Any, experiment: Experiment) -> list[str]:
    """Delete the experiment's tables with their partitions; returns those that were there."""
    deleted = []
    for kind in TABLES:
        name = experiment.table(kind)
        try:
            glue.delete_table(DatabaseName=experiment.settings.glue_database, Name=name)
        except glue.exceptions.EntityNotFoundException:
            continue
        deleted.append(name)
    return deleted


def _table(experiment: Experiment, kind: str) -> dict[str, Any]:
    columns, keys, form, folder = TABLES[kind]
    return {
        "Name": experiment.table(kind),
        "Description": f"Bandit experiment {experiment.id}: {kind}",
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "experiment": experiment.id},
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
        "StorageDescriptor": _storage(columns, form, experiment.s3(folder)),
    }


def _storage(columns: Columns, form: tuple[str, str, str], location: str) -> dict[str, Any]:
    input_format, output_format, serde = form
    return {
        "Columns": [{"Name": name, "Type": kind} for name, kind in columns],
        "Location": location,
        "InputFormat": input_format,
        "OutputFormat": output_format,
        "SerdeInfo": {"SerializationLibrary": serde},
    }

"""Churn ETL: one validated file in; encoded training data, Parquet and a catalog table out. AWS Glue 4 and 5.

Arguments: --source (file) --destination (prefix, ends in /) --split hash|reference --seed --train_share
--validation_share --database --table.

Written under the destination, encoder.json and summary.json last: whoever finds them finds everything.

    train/ validation/ holdout/     encoded CSV: label first, no header; nothing but part files with rows
    customers/split=<split>/        Parquet, the canonical columns; registered as <database>.<table>
    encoder.json                    how to encode: categories learned on the training split only
    summary.json                    rows and churners of each split, unseen categories, lineage

Phone and the four Charge columns are dropped: a phone number identifies, and a charge is minutes times
tariff.

Split `hash`: salted hash of the customer in [0, 1), cut at the same two points in each class. A customer's
split depends on nothing but the customer and the seed: it stays when rows are added or the label changes.
Exact quotas per class would move customers across the cuts as the file grows; with fixed cuts each class
keeps 70/20/10 up to sampling error, and shares further off than chance allows are refused.

Split `reference`: the published split of Larose's data, `sample(frac=1, random_state=seed)` cut at int(.7n)
and int(.9n). It holds one permutation of all rows on the driver; n up to some ten million.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from awsglue.utils import getResolvedOptions
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

SPLITS = ("train", "validation", "holdout")
STATES = [
    "AK", "AL", "AR", "AZ", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "HI", "IA", "ID", "IL", "IN", "KS",
    "KY", "LA", "MA", "MD", "ME", "MI", "MN", "MO", "MS", "MT", "NC", "ND", "NE", "NH", "NJ", "NM", "NV",
    "NY", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VA", "VT", "WA", "WI", "WV", "WY",
]  # fmt: skip

# Canonical name -> name in the published files; the order is that of the features.
NUMERIC = {
    "account_length": "Account Length",
    "vmail_message": "VMail Message",
    "day_mins": "Day Mins",
    "day_calls": "Day Calls",
    "eve_mins": "Eve Mins",
    "eve_calls": "Eve Calls",
    "night_mins": "Night Mins",
    "night_calls": "Night Calls",
    "intl_mins": "Intl Mins",
    "intl_calls": "Intl Calls",
    "custserv_calls": "CustServ Calls",
}
CATEGORICAL = {
    "state": "State",
    "area_code": "Area Code",
    "intl_plan": "Int'l Plan",
    "vmail_plan": "VMail Plan",
}
# The one-hot groups of the headerless encoded form, in its order.
ENCODED_CATEGORIES = {
    "state": STATES,
    "area_code": ["408", "415", "510"],
    "intl_plan": ["no", "yes"],
    "vmail_plan": ["no", "yes"],
}
ENCODED_COLUMNS = 1 + len(NUMERIC) + sum(map(len, ENCODED_CATEGORIES.values()))
FEATURES = [*NUMERIC, *CATEGORICAL]
TYPES = {name: "double" if name.endswith("_mins") else "int" for name in NUMERIC}
CUSTOMER = ["row_number", "customer_key", "churn", *FEATURES]
CATALOG_TYPES = {"row_number": "bigint", "customer_key": "string", "churn": "int", **TYPES} | dict.fromkeys(
    CATEGORICAL, "string"
)
CHANCE = 5  # standard deviations that a share may be off by


def read_customers(spark: SparkSession, source: str) -> DataFrame:
    """The canonical columns of a file in either form, and `position`: the partition and the row within it.

    Text where a number belongs, or a line of another length, raises when Spark reads it.
    """
    names = next(csv.reader([first_line(spark, source)]))
    raw = {_letters(name): place for place, name in enumerate(names)}
    wanted = ("churn", "phone", *FEATURES)
    if all(_letters(name) in raw for name in wanted):
        known = {name: names[raw[_letters(name)]] for name in wanted}
        return _positioned(_read_raw(spark, source, names, known))
    if len(names) == ENCODED_COLUMNS and _is_number(names[0]):
        return _positioned(_read_encoded(spark, source))
    raise ValueError(
        f"{source}: the first line has {len(names)} values and is neither the header of the raw form "
        "nor a row of the "
        f"encoded form ({ENCODED_COLUMNS} numbers); validate.py says what is wrong"
    )


def first_line(spark: SparkSession, source: str) -> str:
    """The first line of a file, plain or compressed, without a Spark job for it. Raises ValueError when
    empty."""
    jvm, settings = spark._jvm, spark._jsc.hadoopConfiguration()
    path = jvm.org.apache.hadoop.fs.Path(source)
    stream = path.getFileSystem(settings).open(path)
    try:
        codec = jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(settings).getCodec(path)
        data = codec.createInputStream(stream) if codec else stream
        line = jvm.java.io.BufferedReader(jvm.java.io.InputStreamReader(data, "UTF-8")).readLine()
    finally:
        stream.close()
    if not line:
        raise ValueError(f"{source} is empty, or begins with an empty line")
    return str(line)


def _read_raw(spark: SparkSession, source: str, names: list[str], known: Mapping[str, str]) -> DataFrame:
    numbers = {known[name] for name in NUMERIC}
    schema = T.StructType(
        [T.StructField(name, T.DoubleType() if name in numbers else T.StringType()) for name in names]
    )
    lines = spark.read.csv(source, schema=schema, header=True, mode="FAILFAST")
    label = F.col(f"`{known['churn']}`")
    identity = F.concat_ws("|", *(F.col(f"`{known[name]}`") for name in ("area_code", "phone")))
    columns = {name: F.col(f"`{known[name]}`") for name in FEATURES}
    return lines.select(
        F.when(F.col(f"`{known['phone']}`").isNotNull(), identity)
        .otherwise(_whole_row(columns))
        .alias("identity"),
        F.when(label == "True.", 1)
        .when(label == "False.", 0)
        .otherwise(_refuse("label", label))
        .alias("churn"),
        *_typed(columns),
    )


def _read_encoded(spark: SparkSession, source: str) -> DataFrame:
    schema = T.StructType([T.StructField(f"c{place}", T.DoubleType()) for place in range(ENCODED_COLUMNS)])
    lines = spark.read.csv(source, schema=schema, header=False, mode="FAILFAST")
    columns = {name: F.col(f"c{place}") for place, name in enumerate(NUMERIC, start=1)}
    place = 1 + len(NUMERIC)
    for name, categories in ENCODED_CATEGORIES.items():
        columns[name] = F.coalesce(
            *(
                F.when(F.col(f"c{place + offset}") == 1, F.lit(category))
                for offset, category in enumerate(categories)
            )
        )
        place += len(categories)
    label = F.col("c0")
    return lines.select(
        _whole_row(columns).alias("identity"),
        F.when(label.isin(0, 1), label.cast("int")).otherwise(_refuse("label", label)).alias("churn"),
        *_typed(columns),
    )


def _typed(columns: Mapping[str, Column]) -> list[Column]:
    return [column.cast(TYPES.get(name, "string")).alias(name) for name, column in columns.items()]


def _whole_row(columns: Mapping[str, Column]) -> Column:
    """Who a customer is when nothing names them: all that is known but the label."""
    return F.concat_ws("|", *(F.coalesce(column.cast("string"), F.lit("")) for column in columns.values()))


def _refuse(what: str, value: Column) -> Column:
    shown = F.coalesce(value.cast("string"), F.lit("missing"))
    return F.raise_error(F.concat(F.lit(f"unknown {what}: "), shown)).cast("int")


def _positioned(customers: DataFrame) -> DataFrame:
    key = F.substring(F.sha2("identity", 256), 1, 32)
    return customers.select(
        F.monotonically_increasing_id().alias("position"), key.alias("customer_key"), "churn", *FEATURES
    )


def _partition() -> Column:
    """The partition that a row was read in: upper bits of `position`, see `monotonically_increasing_id`."""
    return F.shiftright("position", 33).cast("int").alias("partition")


def with_row_numbers(customers: DataFrame, rows: Mapping[int, int]) -> DataFrame:
    """Add `row_number`, counted from 0 in file order; `rows` has the rows of each partition."""
    before = [sum(rows.get(index, 0) for index in range(end)) for end in range(max(rows, default=0) + 1)]
    number = F.array(*map(F.lit, before))[_partition()] + F.col("position").bitwiseAND(2**33 - 1)
    return customers.withColumn("row_number", number)


def hash_split(seed: int, shares: Mapping[str, float]) -> Column:
    """The split of a customer, by a salted hash of its key alone."""
    # 53 bits: what a double holds exactly.
    drawn = F.shiftrightunsigned(F.xxhash64(F.lit(seed), "customer_key"), 11) * F.lit(2.0**-53)
    train, validation = shares["train"], shares["validation"]
    return F.when(drawn < train, "train").when(drawn < train + validation, "validation").otherwise("holdout")


def reference_order(rows: int, seed: int) -> Any:
    """The published split as a pandas frame: row_number, its place in the shuffled order, its split."""
    import numpy as np
    import pandas as pd

    shuffled = pd.Series(np.arange(rows)).sample(frac=1, random_state=seed)
    place = np.arange(rows)
    split = np.repeat(SPLITS, np.diff([0, int(0.7 * rows), int(0.9 * rows), rows]))
    return pd.DataFrame({"row_number": shuffled.to_numpy(), "place": place, "split": split})


def count(customers: DataFrame) -> list[Any]:
    """Rows, churners and missing numbers by partition, split and combination of categories: all that is
    asked of the data, in one pass. There are some thousand combinations."""
    return (
        customers.groupBy(_partition(), "split", *CATEGORICAL)
        .agg(
            F.count("*").alias("rows"),
            F.sum("churn").alias("positives"),
            *(F.sum(F.col(name).isNull().cast("int")).alias(name) for name in NUMERIC),
        )
        .collect()
    )


def make_encoder(groups: Iterable[Any]) -> dict[str, Any]:
    """The content of encoder.json: what the training split holds, sorted."""
    train = [group for group in groups if group["split"] == "train"]
    categorical = {name: sorted({group[name] for group in train} - {None}) for name in CATEGORICAL}
    return {
        "version": 1,
        "label": "churn",
        "numeric": list(NUMERIC),
        "categorical": categorical,
        "feature_names": [
            *NUMERIC.values(),
            *(f"{CATEGORICAL[name]}_{value}" for name, values in categorical.items() for value in values),
        ],
    }


def encoded_line(encoder: Mapping[str, Any]) -> Column:
    """A customer as a line of CSV: label, numbers, one-hot groups. Missing numbers are empty, unseen
    categories zeros."""
    parts = [
        F.col("churn"),
        *(F.coalesce(F.col(name).cast("string"), F.lit("")) for name in encoder["numeric"]),
    ]
    for name, categories in encoder["categorical"].items():
        # One look-up of the group's text instead of an expression for each of its columns.
        texts = {one: ",".join("1" if other == one else "0" for other in categories) for one in categories}
        group = F.create_map(*(F.lit(text) for pair in texts.items() for text in pair))
        parts.append(F.coalesce(group[F.col(name)], F.lit(",".join("0" * len(categories)))))
    return F.concat_ws(",", *parts)


def check_split(groups: Iterable[Any], shares: Mapping[str, float] | None) -> dict[str, dict[str, int]]:
    """Rows and positives of each split. Raises ValueError when a split lacks a class, or (with `shares`)
    when a class is split further from its shares than chance allows."""
    totals = {split: {"rows": 0, "positives": 0} for split in SPLITS}
    for group in groups:
        totals[group["split"]]["rows"] += group["rows"]
        totals[group["split"]]["positives"] += group["positives"]
    for split, total in totals.items():
        if not 0 < total["positives"] < total["rows"]:
            raise ValueError(
                f"split {split} has {total['rows']} customers, {total['positives']} of them churned: "
                "each split needs "
                "both classes; there is too little data, or it repeats"
            )
    for name, of in (
        ("churned", lambda total: total["positives"]),
        ("loyal", lambda t: t["rows"] - t["positives"]),
    ):
        size = sum(map(of, totals.values()))
        for split, share in (shares or {}).items():
            allowed = CHANCE * math.sqrt(share * (1 - share) / size)
            if abs(of(totals[split]) / size - share) > allowed:
                raise ValueError(
                    f"split {split} has {of(totals[split]) / size:.1%} of the {name} customers "
                    f"instead of {share:.1%} "
                    f"(+-{allowed:.1%} by chance): the same customers occur many times"
                )
    return totals


def unseen_categories(groups: Iterable[Any], encoder: Mapping[str, Any]) -> dict[str, Any]:
    """Rows with a category that training never saw: {split: {column: {category: rows}}}."""
    unseen: dict[str, Any] = {}
    for group in groups:
        for name, seen in encoder["categorical"].items():
            if group[name] is not None and group[name] not in seen:
                column = unseen.setdefault(group["split"], {}).setdefault(name, Counter())
                column[group[name]] += group["rows"]
    return unseen


def missing_values(groups: Iterable[Any]) -> dict[str, int]:
    """Empty values of each column."""
    missing = {name: sum(group[name] for group in groups) for name in NUMERIC}
    return missing | {
        name: sum(group["rows"] for group in groups if group[name] is None) for name in CATEGORICAL
    }


class Folder:
    """Files under the destination, through Hadoop: `s3://` and `file:` alike."""

    def __init__(self, spark: SparkSession, root: str) -> None:
        self._path = spark._jvm.org.apache.hadoop.fs.Path
        self._root = root
        self._files = self._path(root).getFileSystem(spark._jsc.hadoopConfiguration())

    def delete(self, name: str) -> None:
        self._files.delete(self._path(self._root + name), True)

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        stream = self._files.create(self._path(self._root + name), True)
        stream.write(bytearray(json.dumps(content, indent=1), "utf-8"))
        stream.close()

    def tidy(self, name: str) -> None:
        """Remove empty files: the trainer looks at any one file to find out how the data is written."""
        for status in self._files.listStatus(self._path(self._root + name)):
            if status.getLen() == 0:
                self._files.delete(status.getPath(), False)


def write_outputs(customers: DataFrame, encoder: Mapping[str, Any], destination: str, ordered: bool) -> None:
    """Write the encoded splits and the Parquet table, side by side: each is a small job of its own."""
    # No _SUCCESS beside the data.
    quiet = {"mapreduce.fileoutputcommitter.marksuccessfuljobs": "false"}
    line = encoded_line(encoder)

    def encoded(split: str) -> None:
        rows = customers.filter(F.col("split") == split)
        if ordered:
            rows = rows.coalesce(1).sortWithinPartitions("place")
        # One column holds the line: a separator that never occurs keeps it unquoted.
        rows.select(line).write.mode("overwrite").options(sep="\u0001", **quiet).csv(f"{destination}{split}/")

    def parquet() -> None:
        table = customers.select(*CUSTOMER, "split")
        table.write.mode("overwrite").options(**quiet).partitionBy("split").parquet(
            f"{destination}customers/"
        )

    with ThreadPoolExecutor(len(SPLITS) + 1) as pool:
        for job in [pool.submit(parquet), *(pool.submit(encoded, split) for split in SPLITS)]:
            job.result()


def register(glue: Any, database: str, table: str, location: str) -> None:
    """Create or replace the catalog table of the customers, and its three partitions."""

    def storage(where: str) -> dict[str, Any]:
        return {
            "Columns": [{"Name": name, "Type": kind} for name, kind in CATALOG_TYPES.items()],
            "Location": where,
            "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
                "Parameters": {"serialization.format": "1"},
            },
        }

    glue_table = {
        "Name": table,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
        "PartitionKeys": [{"Name": "split", "Type": "string"}],
        "StorageDescriptor": storage(location),
    }
    try:
        glue.create_table(DatabaseName=database, TableInput=glue_table)
    except glue.exceptions.AlreadyExistsException:
        glue.update_table(DatabaseName=database, TableInput=glue_table)
    for split in SPLITS:
        partition = {"Values": [split], "StorageDescriptor": storage(f"{location}split={split}/")}
        where = {"DatabaseName": database, "TableName": table}
        try:
            glue.create_partition(**where, PartitionInput=partition)
        except glue.exceptions.AlreadyExistsException:
            glue.update_partition(**where, PartitionInput=partition, PartitionValueList=[split])


def run(spark: SparkSession, options: Mapping[str, str]) -> dict[str, Any]:
    """The whole job; returns what summary.json holds."""
    destination, seed = options["destination"], int(options["seed"])
    shares = {"train": float(options["train_share"]), "validation": float(options["validation_share"])}
    shares["holdout"] = 1 - sum(shares.values())
    _check(options, shares)
    ordered = options["split"] == "reference"
    folder = Folder(spark, destination)
    # First, so that a run that fails half-way leaves nothing that looks finished.
    for name in ("summary.json", "encoder.json"):
        folder.delete(name)

    customers = read_customers(spark, options["source"])
    if ordered:
        customers = customers.cache()
        rows = dict(customers.groupBy(_partition()).count().collect())
        # Without Arrow, Spark would pickle the rows through Python processes.
        spark.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
        order = spark.createDataFrame(reference_order(sum(rows.values()), seed))
        customers = with_row_numbers(customers, rows).join(F.broadcast(order), "row_number").cache()
        groups = count(customers)
    else:
        customers = customers.withColumn("split", hash_split(seed, shares)).cache()
        groups = count(customers)
        rows = Counter()
        for group in groups:
            rows[group["partition"]] += group["rows"]
        customers = with_row_numbers(customers, rows)
    totals = check_split(groups, None if ordered else shares)
    encoder = make_encoder(groups)

    write_outputs(customers, encoder, destination, ordered)
    for split in SPLITS:
        folder.tidy(f"{split}/")
    register(boto3.client("glue"), options["database"], options["table"], f"{destination}customers/")
    summary = {
        "version": 1,
        "source": options["source"],
        "source_etag": _etag(options["source"]),
        "split": options["split"],
        "seed": seed,
        "rows": sum(total["rows"] for total in totals.values()),
        "positives": sum(total["positives"] for total in totals.values()),
        "splits": totals,
        "columns": CUSTOMER,
        "features": len(encoder["feature_names"]),
        "missing": missing_values(groups),
        "unseen_categories": unseen_categories(groups, encoder),
        "table": f"{options['database']}.{options['table']}",
    }
    folder.write("encoder.json", encoder)
    folder.write("summary.json", summary)
    return summary


def _check(options: Mapping[str, str], shares: Mapping[str, float]) -> None:
    if options["split"] not in ("hash", "reference"):
        raise ValueError(f"--split is {options['split']!r}, not hash or reference")
    if min(shares.values()) <= 0:
        raise ValueError(
            f"--train_share and --validation_share must be above 0 and below 1 together, got {shares}"
        )
    if not options["destination"].endswith("/"):
        raise ValueError(f"--destination {options['destination']!r} must end in /")


def _etag(source: str) -> str | None:
    if not source.startswith("s3://"):
        return None
    bucket, _, key = source.removeprefix("s3://").partition("/")
    return str(boto3.client("s3").head_object(Bucket=bucket, Key=key)["ETag"].strip('"'))


def _letters(name: str) -> str:
    """What the spellings of a header have in common: `Int'l Plan`, `Int l Plan`, `intl_plan`."""
    return "".join(character for character in name.lower() if character.isalpha())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    arguments = [
        "source",
        "destination",
        "split",
        "seed",
        "train_share",
        "validation_share",
        "database",
        "table",
    ]
    session = SparkSession.builder.appName("churn_etl").getOrCreate()
    print(json.dumps(run(session, getResolvedOptions(sys.argv, arguments))))

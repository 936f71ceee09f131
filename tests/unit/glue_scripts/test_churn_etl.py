"""The ETL on real Spark: splits, encoder, what it publishes and what it refuses."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clients import churn_customers

pytestmark = pytest.mark.slow

ROWS = 3000


@pytest.fixture(scope="session")
def customers(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("raw") / "customers.csv"
    churn_customers.write(ROWS, seed=7, output=path)
    return path


@pytest.fixture
def run(spark, catalog, tmp_path) -> Callable[..., Path]:
    from glue_scripts import churn_etl

    def run(source: Path, *, name: str = "data", **options: str) -> Path:
        destination = tmp_path / name
        defaults = {
            "source": f"file:{source}",
            "destination": f"file:{destination}/",
            "split": "hash",
            "seed": "1729",
            "train_share": "0.7",
            "validation_share": "0.2",
            "database": "mlops_test",
            "table": "customers_run",
        }
        spark.catalog.clearCache()  # a job has a session of its own
        churn_etl.run(spark, {**defaults, **options})
        return destination

    return run


def lines(folder: Path) -> list[str]:
    return [line for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]


def table(data: Path) -> pd.DataFrame:
    parts = []
    for split in ("train", "validation", "holdout"):
        for path in sorted((data / "customers" / f"split={split}").iterdir()):
            parts.append(pd.read_parquet(path).assign(split=split))
    return pd.concat(parts).sort_values("row_number", ignore_index=True)


def rewrite(source: Path, target: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    change(pd.read_csv(source, dtype=str, keep_default_na=False)).to_csv(target, index=False)
    return target


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_schema_is_the_one_that_was_validated():
    """The scripts run on machines of their own and share no module."""
    import schema

    from glue_scripts import churn_etl

    assert churn_etl.NUMERIC == schema.NUMERIC
    assert list(churn_etl.NUMERIC) == list(schema.NUMERIC)
    assert list(churn_etl.CATEGORICAL.items()) == list(schema.CATEGORICAL.items())
    names = [
        f"{churn_etl.CATEGORICAL[name]}_{value}"
        for name, values in churn_etl.ENCODED_CATEGORIES.items()
        for value in values
    ]
    assert [column.name for column in schema.ENCODED.columns[1:]] == [*churn_etl.NUMERIC.values(), *names]


def test_reference_split_is_the_published_one(run, shared_data):
    data = run(shared_data / "larose_churn_3333.csv", split="reference")
    published = {
        "train": (shared_data / "mm_training-dataset-with-header.csv").read_text().splitlines()[1:],
        "validation": (shared_data / "mm_validation.csv").read_text().splitlines(),
        "holdout": (shared_data / "mm_test-dataset.csv").read_text().splitlines(),
    }
    for split, expected in published.items():
        assert lines(data / split) == expected, split
    header = (shared_data / "mm_training-dataset-with-header.csv").read_text().splitlines()[0]
    assert read_json(data / "encoder.json")["feature_names"] == header.split(",")[1:]
    assert read_json(data / "summary.json")["splits"] == {
        "train": {"rows": 2333, "positives": 325},
        "validation": {"rows": 666, "positives": 110},
        "holdout": {"rows": 334, "positives": 48},
    }


def test_hash_split_keeps_its_shares_in_each_class(run, customers):
    summary = read_json(run(customers) / "summary.json")
    assert (summary["rows"], sum(part["rows"] for part in summary["splits"].values())) == (ROWS, ROWS)
    for split, share in (("train", 0.7), ("validation", 0.2), ("holdout", 0.1)):
        part = summary["splits"][split]
        assert part["positives"] / summary["positives"] == pytest.approx(share, abs=0.06)
        loyal = summary["rows"] - summary["positives"]
        assert (part["rows"] - part["positives"]) / loyal == pytest.approx(share, abs=0.025)


def test_customers_stay_in_their_split(run, customers, tmp_path):
    """When rows are added in front, and when a customer churns."""
    before = table(run(customers)).set_index("customer_key")

    def grow(frame: pd.DataFrame) -> pd.DataFrame:
        new = frame.head(500).copy()
        new["Phone"] = [f"999-{number:04d}" for number in range(500)]
        frame.loc[:99, "Churn?"] = "True."
        return pd.concat([new, frame])

    after = table(run(rewrite(customers, tmp_path / "grown.csv", grow), name="grown")).set_index(
        "customer_key"
    )
    assert len(after) == ROWS + 500
    assert (after.loc[before.index, "split"] == before["split"]).all()
    assert (after.loc[before.index, "churn"] != before["churn"]).sum() > 50


def test_another_seed_is_another_split(run, customers):
    first, second = table(run(customers)), table(run(customers, name="other", seed="1"))
    assert (first["customer_key"] == second["customer_key"]).all()
    assert 0.4 < (first["split"] == second["split"]).mean() < 0.7


def test_encoded_lines_are_the_customers(run, customers):
    data = run(customers)
    raw = pd.read_csv(customers, dtype={"Area Code": str})
    frame = table(data)
    assert frame["row_number"].tolist() == list(range(ROWS))
    assert frame["day_mins"].tolist() == raw["Day Mins"].tolist()
    assert frame["state"].tolist() == raw["State"].tolist()
    assert frame["churn"].tolist() == (raw["Churn?"] == "True.").astype(int).tolist()
    assert frame.columns.tolist() == [*read_json(data / "summary.json")["columns"], "split"]
    encoder = read_json(data / "encoder.json")
    holdout = frame[frame["split"] == "holdout"].iloc[0]
    values = lines(data / "holdout")[0].split(",")
    named = dict(zip(encoder["feature_names"], values[1:], strict=True))
    assert int(values[0]) == holdout["churn"]
    assert float(named["Night Mins"]) == holdout["night_mins"]
    ones = {name for name, value in list(named.items())[11:] if value == "1"}
    assert ones == {
        f"State_{holdout['state']}",
        f"Area Code_{holdout['area_code']}",
        f"Int'l Plan_{holdout['intl_plan']}",
        f"VMail Plan_{holdout['vmail_plan']}",
    }


def test_categories_that_training_never_saw_are_zeros_and_counted(run, customers, tmp_path):
    split = table(run(customers))["split"]
    row = int(split[split == "holdout"].index[3])

    def move_to_puerto_rico(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[row, "State"] = "PR"
        return frame

    data = run(rewrite(customers, tmp_path / "moved.csv", move_to_puerto_rico), name="moved")
    encoder = read_json(data / "encoder.json")
    assert "PR" not in encoder["categorical"]["state"]
    assert len(encoder["categorical"]["state"]) == 51
    assert read_json(data / "summary.json")["unseen_categories"] == {"holdout": {"state": {"PR": 1}}}
    groups = [sum(map(int, line.split(",")[12 : 12 + 51])) for line in lines(data / "holdout")]
    assert sorted(set(groups)) == [0, 1]
    assert groups.count(0) == 1


def test_missing_values_stay_missing(run, customers, tmp_path):
    def lose(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[:9, "Day Mins"] = ""
        frame.loc[5:6, "State"] = ""
        return frame

    data = run(rewrite(customers, tmp_path / "lost.csv", lose))
    missing = read_json(data / "summary.json")["missing"]
    assert {name: count for name, count in missing.items() if count} == {"day_mins": 10, "state": 2}
    assert table(data)["day_mins"].isna().sum() == 10
    every = [line.split(",") for split in ("train", "validation", "holdout") for line in lines(data / split)]
    assert sum(values[3] == "" for values in every) == 10
    assert {len(values) for values in every} == {70}


def test_encoded_form_gives_the_same_lines(run, shared_data):
    source = shared_data / "mm_validation.csv"
    data = run(source)
    every = [line for split in ("train", "validation", "holdout") for line in lines(data / split)]
    expected = source.read_text().splitlines()
    # Each customer once; every state of 666 customers may not be among the training split's.
    assert len(every) == 666
    if not read_json(data / "summary.json")["unseen_categories"] and len(every[0].split(",")) == 70:
        assert sorted(every) == sorted(expected)
    frame = table(data)
    assert frame["churn"].sum() == 110
    assert frame["area_code"].isin(["408", "415", "510"]).all()
    assert frame["day_mins"].tolist() == [float(line.split(",")[3]) for line in expected]


def test_gzip_and_the_other_headers(run, customers, tmp_path):
    text = customers.read_text().replace("Int'l Plan", "Int l Plan").replace("Churn?", "Churn_")
    packed = tmp_path / "customers.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    pd.testing.assert_frame_equal(table(run(packed)), table(run(customers, name="plain")))


def test_rows_of_many_partitions_keep_their_order(run, customers, spark):
    spark.conf.set("spark.sql.files.maxPartitionBytes", "30000")
    try:
        many = run(customers)
        reference = run(customers, name="reference", split="reference")
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")
    one = run(customers, name="one")
    assert len(list((many / "train").iterdir())) > 5
    pd.testing.assert_frame_equal(table(many), table(one))
    assert lines(many / "train") == lines(one / "train")
    assert len(list((reference / "train").iterdir())) == 1
    assert lines(reference / "train") == lines(
        run(customers, name="reference one", split="reference") / "train"
    )


def test_nothing_but_data_where_the_trainer_looks(run, customers):
    data = run(customers)
    (data / "train" / "stale.csv").write_text("1,2,3\n")
    again = run(customers)
    for split in ("train", "validation", "holdout"):
        (path,) = (again / split).iterdir()
        assert path.name.startswith("part-00000-")
        assert path.suffix == ".csv"
        assert path.stat().st_size > 0
    everything = {path.name for path in again.rglob("*")}
    assert not {name for name in everything if name.startswith(("_", "."))}


def test_table_is_registered(run, catalog, customers, tmp_path):
    run(customers)
    assert [name for name, _ in catalog.calls] == ["CreateTable", *["CreatePartition"] * 3]
    created = catalog.calls[0][1]
    assert (created["DatabaseName"], created["TableInput"]["Name"]) == ("mlops_test", "customers_run")
    assert created["TableInput"]["PartitionKeys"] == [{"Name": "split", "Type": "string"}]
    columns = {
        column["Name"]: column["Type"] for column in created["TableInput"]["StorageDescriptor"]["Columns"]
    }
    assert columns["row_number"] == "bigint"
    assert columns["day_mins"] == "double"
    assert columns["state"] == "string"
    holdout = catalog.calls[3][1]["PartitionInput"]
    assert holdout["Values"] == ["holdout"]
    assert holdout["StorageDescriptor"]["Location"] == f"file:{tmp_path}/data/customers/split=holdout/"


def test_registered_table_is_replaced(run, catalog, customers):
    catalog.errors = {"CreateTable": "AlreadyExistsException", "CreatePartition": "AlreadyExistsException"}
    run(customers)
    names = [name for name, _ in catalog.calls]
    assert names == ["CreateTable", "UpdateTable", *["CreatePartition", "UpdatePartition"] * 3]


def test_failed_run_leaves_nothing_that_looks_finished(run, catalog, customers):
    data = run(customers)
    catalog.errors = {"CreateTable": "AccessDeniedException"}
    with pytest.raises(Exception, match="AccessDeniedException"):
        run(customers)
    assert not (data / "summary.json").exists()
    assert not (data / "encoder.json").exists()


def test_text_in_a_number_is_refused(run, customers, tmp_path):
    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[7, "Day Mins"] = "many"
        return frame

    with pytest.raises(Exception, match=r"MALFORMED_RECORD_IN_PARSING|Malformed record"):
        run(rewrite(customers, tmp_path / "spoilt.csv", spoil))


def test_unknown_label_is_refused(run, customers, tmp_path):
    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[7, "Churn?"] = "Perhaps"
        return frame

    with pytest.raises(Exception, match="unknown label: Perhaps"):
        run(rewrite(customers, tmp_path / "spoilt.csv", spoil))


def test_quoted_file_is_refused(run, shared_data):
    with pytest.raises(
        ValueError, match="is neither the header of the raw form nor a row of the encoded form"
    ):
        run(shared_data / "mwaa_customer-churn.csv")


def test_empty_file_is_refused(run, tmp_path):
    (tmp_path / "empty.csv").touch()
    with pytest.raises(ValueError, match=r"empty\.csv is empty"):
        run(tmp_path / "empty.csv")


def test_split_without_a_class_is_refused(run, customers, tmp_path):
    few = rewrite(customers, tmp_path / "few.csv", lambda frame: frame.head(12))
    with pytest.raises(ValueError, match="each split needs both classes"):
        run(few)


def test_repeated_customer_is_refused(run, customers, tmp_path):
    """Two thirds of the rows are one customer: whatever split that one is in, it gets too much."""

    def repeat(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([frame, *[frame.head(1)] * (2 * ROWS)])

    with pytest.raises(ValueError, match="the same customers occur many times"):
        run(rewrite(customers, tmp_path / "repeated.csv", repeat))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "random"}, "--split is 'random', not hash or reference"),
        (
            {"train_share": "0.8", "validation_share": "0.2"},
            "--train_share and --validation_share must be above 0",
        ),
        ({"destination": "s3://bucket/data"}, "--destination 's3://bucket/data' must end in /"),
    ],
)
def test_options_that_make_no_sense(run, customers, options, message):
    with pytest.raises(ValueError, match=message):
        run(customers, **options)

"""Asks a deployed churn endpoint about raw customers, as an application would: with stock boto3 and nothing
else.

`python -m clients.ask_endpoint --endpoint churn-local --customers customers.csv --rows 3`

An endpoint takes encoded features. How to encode is part of the model's lineage: the model package that the
endpoint serves names its encoder (`encoder_uri`), so a caller needs to know only the endpoint's name.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError


class CannotAsk(ValueError):
    """The endpoint cannot be asked about these customers; the message says why."""


@dataclass(frozen=True)
class Answer:
    """A raw customer (canonical column names, e.g. `day_mins`) and the probability that they churn."""

    customer: Mapping[str, str]
    probability: float


def ask(endpoint: str, customers: Sequence[Mapping[str, str]], encoder: Mapping[str, Any]) -> list[Answer]:
    """The churn probability of each customer. `encoder` is the content of encoder.json.

    Raises CannotAsk; botocore's ClientError, e.g. when there is no such endpoint.
    """
    body = "\n".join(",".join(features(customer, encoder)) for customer in customers)
    answer = boto3.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint, ContentType="text/csv", Accept="text/csv", Body=body
    )
    text = answer["Body"].read().decode()
    # One value a line, or all in one line: SageMaker's XGBoost images do both.
    values = text.replace(",", "\n").split()
    if len(values) != len(customers):
        raise CannotAsk(
            f"endpoint {endpoint} answered {len(values)} values for {len(customers)} customers: "
            f"{text[:200]!r}"
        )
    return [Answer(customer, float(value)) for customer, value in zip(customers, values, strict=True)]


def features(customer: Mapping[str, str], encoder: Mapping[str, Any]) -> list[str]:
    """The encoded row of a customer, as text. A category the model never saw has a 0 in each of its
    columns."""
    missing = [name for name in (*encoder["numeric"], *encoder["categorical"]) if name not in customer]
    if missing:
        raise CannotAsk(f"the customers have no column {', '.join(missing)}")
    numbers = [customer[name] for name in encoder["numeric"]]
    return numbers + [
        "1" if customer[name] == category else "0"
        for name, categories in encoder["categorical"].items()
        for category in categories
    ]


def read_customers(path: Path, rows: int, encoder: Mapping[str, Any]) -> list[dict[str, str]]:
    """The first `rows` customers of a raw CSV file, plain or gzipped, by canonical column name.

    A header is recognised by its letters alone, so `Int'l Plan`, `Int l Plan` and `intl_plan` are one column.
    Raises CannotAsk when there are none.
    """
    canonical = {_letters(name): name for name in (*encoder["numeric"], *encoder["categorical"])}
    with (
        gzip.open(path, "rt", encoding="utf-8")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8") as stream
    ):
        customers = [
            {canonical.get(_letters(header), header): value.strip() for header, value in row.items()}
            for row in islice(csv.DictReader(stream), rows)
        ]
    if not customers:
        raise CannotAsk(f"{path} has no customers")
    return customers


def find_encoder(endpoint: str) -> dict[str, Any]:
    """The encoder of the model that an endpoint serves, through its configuration, model and model package.

    Raises CannotAsk when the model was not registered with one; botocore's ClientError.
    """
    sagemaker = boto3.client("sagemaker")
    config = sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    variant = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]
    container = sagemaker.describe_model(ModelName=variant["ModelName"]).get("PrimaryContainer", {})
    if "ModelPackageName" not in container:
        raise CannotAsk(
            f"endpoint {endpoint} serves model {variant['ModelName']}, which is no model package: "
            "name the encoder"
        )
    package = sagemaker.describe_model_package(ModelPackageName=container["ModelPackageName"])
    uri = package.get("CustomerMetadataProperties", {}).get("encoder_uri")
    if not uri:
        raise CannotAsk(
            f"model package {container['ModelPackageName']} has no metadata encoder_uri: name the encoder"
        )
    return load_encoder(uri)


def load_encoder(location: str) -> dict[str, Any]:
    """The content of an encoder.json: an `s3://` URI, or a path."""
    if not location.startswith("s3://"):
        return dict(json.loads(Path(location).read_text(encoding="utf-8")))
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return dict(json.load(boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"]))


def table(answers: Sequence[Answer]) -> str:
    """The answers as a person reads them."""
    shown = ["state", "intl_plan", "vmail_plan", "day_mins", "eve_mins", "intl_calls", "custserv_calls"]
    lines = [[*shown, "churn probability"]]
    lines += [
        [*(str(item.customer.get(name, "")) for name in shown), f"{item.probability:.3f}"] for item in answers
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    out = io.StringIO()
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)), file=out)
    return out.getvalue().rstrip("\n")


def demo(endpoint: str, path: Path, rows: int = 3, encoder: str | None = None) -> list[Answer]:
    """Ask about the first customers of a raw file; the encoder is the served model's unless one is named."""
    how = load_encoder(encoder) if encoder else find_encoder(endpoint)
    return ask(endpoint, read_customers(path, rows, how), how)


def _letters(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalpha())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Ask a churn endpoint about the customers of a raw CSV file."
    )
    parser.add_argument("--endpoint", required=True)
    parser.add_argument(
        "--customers", type=Path, required=True, help="raw CSV file, the first rows are asked about"
    )
    parser.add_argument("--rows", type=int, default=3)
    parser.add_argument(
        "--encoder", help="encoder.json, as s3:// URI or path; default: the served model's own"
    )
    options = parser.parse_args(arguments)
    try:
        print(table(demo(options.endpoint, options.customers, options.rows, options.encoder)))
    except (CannotAsk, ClientError, BotoCoreError, OSError) as error:
        print(f"ask_endpoint: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

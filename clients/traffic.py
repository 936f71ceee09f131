"""An application in use: asks a churn endpoint about one customer after the other, with stock boto3.

    python -m clients.traffic --endpoint churn-local --customers customers.csv --rows 400 --ledger asked.jsonl

Every request carries an `InferenceId` of its own, under which its label can be delivered later
(`clients.labels`). The ledger keeps a line for each request that was answered: `inference_id`, `sent` (UTC),
`probability` and, from the file, `label` (1 churned, 0 stayed). It is appended to, so that several calls may
share one.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from clients.ask_endpoint import CannotAsk, features, find_encoder, load_encoder, read_customers

CLIENTS = 8


def send(
    endpoint: str,
    customers: list[dict[str, str]],
    encoder: Mapping[str, Any],
    run: str,
    clients: int = CLIENTS,
) -> Iterator[dict[str, Any]]:
    """The ledger's entries, in the customers' order, as the answers come.

    `run` begins every inference id: it must differ between calls. Raises botocore's errors.
    """
    runtime = boto3.client(
        "sagemaker-runtime", config=Config(max_pool_connections=clients, retries={"mode": "standard"})
    )

    # `Churn?`, which exports also spell `Churn_`.
    label = next((name for name in customers[0] if name.lower().rstrip("?_. ") == "churn"), None)

    def ask(number: int) -> dict[str, Any]:
        customer = customers[number]
        sent = datetime.now(UTC)
        name = f"{run}-{number}"
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint,
            ContentType="text/csv",
            Accept="text/csv",
            Body=",".join(features(customer, encoder)),
            InferenceId=name,
        )
        entry = {
            "inference_id": name,
            "sent": sent.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "probability": float(answer["Body"].read()),
        }
        return entry | ({"label": int(customer[label].startswith("T"))} if label else {})

    with ThreadPoolExecutor(clients) as pool:
        yield from pool.map(ask, range(len(customers)))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Ask a churn endpoint about many customers, one by one.")
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--customers", type=Path, required=True, help="raw CSV file with a header")
    parser.add_argument("--first", type=int, default=0, help="customers of the file to leave out")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--ledger", type=Path, help="file to append what was asked to")
    parser.add_argument("--encoder", help="encoder.json, as s3:// URI or path; default: the served model's")
    parser.add_argument("--clients", type=int, default=CLIENTS, help="requests at a time")
    options = parser.parse_args(arguments)
    try:
        encoder = load_encoder(options.encoder) if options.encoder else find_encoder(options.endpoint)
        read = read_customers(options.customers, options.first + options.rows, encoder)[options.first :]
        if not read:
            raise CannotAsk(f"{options.customers} has no customer beyond the first {options.first:,}")
        sent = send(options.endpoint, read, encoder, uuid.uuid4().hex[:12], options.clients)
        entries = [json.dumps(entry) + "\n" for entry in sent]
        if options.ledger:
            with options.ledger.open("a") as stream:
                stream.writelines(entries)
    except (CannotAsk, ClientError, BotoCoreError, OSError, ValueError) as error:
        print(f"traffic: {error}", file=sys.stderr)
        return 1
    print(f"{len(entries):,} customers asked about")
    return 0


if __name__ == "__main__":
    sys.exit(main())

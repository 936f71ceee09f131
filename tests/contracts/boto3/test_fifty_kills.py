"""Fifty kill -9 under a mixed load of writes: each that was acknowledged is there after the next start."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local_aws.pytest_plugin import LocalAws

KILLS = 50
IMPATIENT = Config(retries={"max_attempts": 0}, read_timeout=5, connect_timeout=2)


class Writer:
    """Writes names to one service; `acknowledged` are those that it was told of."""

    def __init__(self, aws: LocalAws, service: str) -> None:
        self.aws, self.service = aws, service
        self.acknowledged: list[str] = []
        self.number = 0
        self.setup(aws.client(service))

    def write_until_it_fails(self) -> None:
        client = self.aws.client(self.service, config=IMPATIENT)
        with contextlib.suppress(BotoCoreError, ClientError):
            while True:
                name = f"n{self.number}"
                self.number += 1  # a write that was cut off may be there or not: never that name again
                self.write(client, name)
                self.acknowledged.append(name)

    def lost(self) -> set[str]:
        return set(self.acknowledged) - set(self.stored(self.aws.client(self.service)))

    def setup(self, client: Any) -> None: ...

    def write(self, client: Any, name: str) -> None:
        raise NotImplementedError

    def stored(self, client: Any) -> Iterator[str]:
        raise NotImplementedError


class Objects(Writer):
    def setup(self, client: Any) -> None:
        client.create_bucket(Bucket="data")

    def write(self, client: Any, name: str) -> None:
        client.put_object(Bucket="data", Key=name, Body=name.encode() * 1000)

    def stored(self, client: Any) -> Iterator[str]:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket="data"):
            for item in page.get("Contents", []):
                assert item["Size"] == len(item["Key"]) * 1000
                yield item["Key"]


class Tables(Writer):
    def setup(self, client: Any) -> None:
        client.create_database(DatabaseInput={"Name": "db"})

    def write(self, client: Any, name: str) -> None:
        client.create_table(DatabaseName="db", TableInput={"Name": name})

    def stored(self, client: Any) -> Iterator[str]:
        for page in client.get_paginator("get_tables").paginate(DatabaseName="db"):
            yield from (table["Name"] for table in page["TableList"])


class Items(Writer):
    def setup(self, client: Any) -> None:
        client.create_table(
            TableName="items",
            KeySchema=[{"AttributeName": "name", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "name", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def write(self, client: Any, name: str) -> None:
        condition = "attribute_not_exists(#n)"
        client.put_item(
            TableName="items",
            Item={"name": {"S": name}},
            ConditionExpression=condition,
            ExpressionAttributeNames={"#n": "name"},
        )

    def stored(self, client: Any) -> Iterator[str]:
        for page in client.get_paginator("scan").paginate(TableName="items"):
            yield from (item["name"]["S"] for item in page["Items"])


class Events(Writer):
    """Log events: a stream keeps their order, too."""

    def setup(self, client: Any) -> None:
        client.create_log_group(logGroupName="/g")
        client.create_log_stream(logGroupName="/g", logStreamName="s")

    def write(self, client: Any, name: str) -> None:
        event = {"timestamp": int(time.time() * 1000), "message": name}
        client.put_log_events(logGroupName="/g", logStreamName="s", logEvents=[event])

    def stored(self, client: Any) -> Iterator[str]:
        for page in client.get_paginator("filter_log_events").paginate(logGroupName="/g"):
            yield from (event["message"] for event in page["events"])


class Groups(Writer):
    def write(self, client: Any, name: str) -> None:
        client.create_model_package_group(ModelPackageGroupName=name)

    def stored(self, client: Any) -> Iterator[str]:
        for page in client.get_paginator("list_model_package_groups").paginate():
            yield from (group["ModelPackageGroupName"] for group in page["ModelPackageGroupSummaryList"])


class Parameters(Writer):
    def write(self, client: Any, name: str) -> None:
        client.put_parameter(Name=f"/p/{name}", Value=name, Type="String")

    def stored(self, client: Any) -> Iterator[str]:
        for page in client.get_paginator("get_parameters_by_path").paginate(Path="/p"):
            yield from (parameter["Value"] for parameter in page["Parameters"])


WRITERS: dict[str, type[Writer]] = {
    "s3": Objects,
    "glue": Tables,
    "dynamodb": Items,
    "logs": Events,
    "sagemaker": Groups,
    "ssm": Parameters,
}


def test_fifty_kills_lose_nothing(new_local_aws: Callable[[], LocalAws]) -> None:
    aws = new_local_aws()
    writers = [writer(aws, service) for service, writer in WRITERS.items()]
    chance = random.Random(50)
    for number in range(KILLS):
        threads = [
            threading.Thread(target=writer.write_until_it_fails) for writer in chance.sample(writers, 3)
        ]
        before = sum(len(writer.acknowledged) for writer in writers)
        for thread in threads:
            thread.start()
        wanted = before + chance.randint(1, 40)
        deadline = time.monotonic() + 60
        while sum(len(writer.acknowledged) for writer in writers) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        aws.kill()
        for thread in threads:
            thread.join()
        aws.start()
        if number % 10 == 9:  # listing it all takes longer than a start
            lost = {writer.service: found for writer in writers if (found := writer.lost())}
            assert not lost, f"after kill {number + 1}"
    assert all(len(writer.acknowledged) > KILLS for writer in writers)

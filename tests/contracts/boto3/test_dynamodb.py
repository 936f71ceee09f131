"""DynamoDB through boto3: conditions, transactions, time to live, and every write on disk."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

IMPATIENT = Config(retries={"max_attempts": 0}, read_timeout=10, connect_timeout=5)


@pytest.fixture
def dynamodb(local_aws: Any) -> Any:
    return local_aws.client("dynamodb")


@pytest.fixture
def table(dynamodb: Any) -> str:
    return create(dynamodb, f"models-{uuid.uuid4().hex[:8]}")


def create(dynamodb: Any, name: str) -> str:
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[
            {"AttributeName": "experiment", "AttributeType": "S"},
            {"AttributeName": "number", "AttributeType": "N"},
        ],
        KeySchema=[
            {"AttributeName": "experiment", "KeyType": "HASH"},
            {"AttributeName": "number", "KeyType": "RANGE"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.get_waiter("table_exists").wait(TableName=name)
    return name


def item(experiment: str, number: float, **attributes: Any) -> dict[str, Any]:
    return {"experiment": {"S": experiment}, "number": {"N": str(number)}, **attributes}


def scan(dynamodb: Any, table: str) -> list[dict[str, Any]]:
    pages = dynamodb.get_paginator("scan").paginate(TableName=table)
    return [found for page in pages for found in page["Items"]]


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_condition_that_fails_changes_nothing(dynamodb: Any, table: str) -> None:
    dynamodb.put_item(
        TableName=table,
        Item=item("a", 1, state={"S": "new"}),
        ConditionExpression="attribute_not_exists(experiment)",
    )
    with pytest.raises(ClientError) as error:
        dynamodb.put_item(
            TableName=table, Item=item("a", 1), ConditionExpression="attribute_not_exists(experiment)"
        )
    assert code(error) == "ConditionalCheckFailedException"
    answer = dynamodb.update_item(
        TableName=table,
        Key=item("a", 1),
        UpdateExpression="SET #s = :to ADD tries :one",
        ConditionExpression="#s = :from",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={":from": {"S": "new"}, ":to": {"S": "old"}, ":one": {"N": "1"}},
        ReturnValues="ALL_NEW",
    )
    assert answer["Attributes"] == item("a", 1, state={"S": "old"}, tries={"N": "1"})
    with pytest.raises(ClientError) as error:
        dynamodb.delete_item(
            TableName=table,
            Key=item("a", 1),
            ConditionExpression="tries > :n",
            ExpressionAttributeValues={":n": {"N": "1"}},
        )
    assert code(error) == "ConditionalCheckFailedException"
    assert scan(dynamodb, table) == [item("a", 1, state={"S": "old"}, tries={"N": "1"})]


def test_an_update_that_fails_half_way_leaves_the_item(dynamodb: Any, table: str) -> None:
    before = item("a", 1, text={"S": "short"}, tries={"N": "1"})
    dynamodb.put_item(TableName=table, Item=before)
    with pytest.raises(ClientError) as error:
        dynamodb.update_item(
            TableName=table,
            Key=item("a", 1),
            UpdateExpression="SET tries = :n, #t = :long",
            ExpressionAttributeNames={"#t": "text"},
            ExpressionAttributeValues={":n": {"N": "2"}, ":long": {"S": "x" * 410_000}},
        )
    assert code(error) == "ValidationException"
    assert scan(dynamodb, table) == [before]


def test_a_transaction_is_all_or_nothing(dynamodb: Any, table: str) -> None:
    dynamodb.put_item(TableName=table, Item=item("a", 1, state={"S": "old"}))

    def transact(expected: str) -> None:
        update = {
            "TableName": table,
            "Key": item("a", 1),
            "UpdateExpression": "SET #s = :to",
            "ConditionExpression": "#s = :from",
            "ExpressionAttributeNames": {"#s": "state"},
            "ExpressionAttributeValues": {":to": {"S": "new"}, ":from": {"S": expected}},
        }
        put = {"TableName": table, "Item": item("a", 2)}
        dynamodb.transact_write_items(TransactItems=[{"Put": put}, {"Update": update}])

    with pytest.raises(ClientError) as error:
        transact("another")
    assert code(error) == "TransactionCanceledException"
    reasons = [reason["Code"] for reason in error.value.response["CancellationReasons"]]
    assert reasons == ["None", "ConditionalCheckFailed"]
    assert scan(dynamodb, table) == [item("a", 1, state={"S": "old"})]
    transact("old")
    assert scan(dynamodb, table) == [item("a", 1, state={"S": "new"}), item("a", 2)]


def test_items_expire(local_aws: Any, dynamodb: Any, table: str) -> None:
    dynamodb.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
    )
    described = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    now = int(time.time())
    for number, moment in enumerate((now - 10, now + 3600, now - 10**9)):  # the last: too long ago
        dynamodb.put_item(TableName=table, Item=item("a", number, expires_at={"N": str(moment)}))
    dynamodb.put_item(TableName=table, Item=item("b", 0))
    deadline = time.monotonic() + 90
    while len(left := scan(dynamodb, table)) == 4:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert [(one["experiment"]["S"], one["number"]["N"]) for one in left] == [
        ("a", "1"),
        ("a", "2"),
        ("b", "0"),
    ]


def test_what_no_restart_would_take_up_is_refused(dynamodb: Any, table: str) -> None:
    arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
    with pytest.raises(ClientError) as error:
        dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket="b")
    assert code(error) == "UnsupportedOperation"


def test_writes_survive_a_kill(new_local_aws: Callable[[], Any]) -> None:
    aws = new_local_aws()
    dynamodb = aws.client("dynamodb", config=IMPATIENT)
    table = create(dynamodb, "table")
    for number in (1, 1.0, 2, 3):  # 1 and 1.0 are one key
        dynamodb.put_item(TableName=table, Item=item("a", number, blob={"B": b"\x00\xff"}))
    dynamodb.delete_item(TableName=table, Key=item("a", 2))
    dynamodb.update_item(
        TableName=table,
        Key=item("a", 3),
        UpdateExpression="SET tags = :tags",
        ExpressionAttributeValues={":tags": {"M": {"x": {"L": [{"N": "1"}]}, "y": {"SS": ["q"]}}}},
    )
    refused = {"Put": {"TableName": table, "Item": item("b", 1)}}
    check = {
        "ConditionCheck": {
            "TableName": table,
            "Key": item("c", 1),
            "ConditionExpression": "attribute_exists(x)",
        }
    }
    with pytest.raises(ClientError):
        dynamodb.transact_write_items(TransactItems=[refused, check])
    for name in ("again", "gone"):
        create(dynamodb, name)
        dynamodb.put_item(TableName=name, Item=item("old", 1))
        dynamodb.delete_table(TableName=name)
    create(dynamodb, "again")
    backup = dynamodb.create_backup(TableName=table, BackupName="before")["BackupDetails"]["BackupArn"]
    before = scan(dynamodb, table)

    aws.restart(kill=True)

    assert scan(dynamodb, table) == before
    assert [one["number"]["N"] for one in before] == ["1.0", "3"]
    assert before[0]["blob"]["B"] == b"\x00\xff"
    assert before[1]["tags"] == {"M": {"x": {"L": [{"N": "1"}]}, "y": {"SS": ["q"]}}}
    assert dynamodb.list_tables()["TableNames"] == ["table", "again"]
    assert scan(dynamodb, "again") == []
    dynamodb.delete_item(TableName=table, Key=item("a", 1))
    dynamodb.restore_table_from_backup(TargetTableName="restored", BackupArn=backup)
    assert scan(dynamodb, "restored") == before


def test_every_acknowledged_write_survives_kills_under_load(new_local_aws: Callable[[], Any]) -> None:
    aws = new_local_aws()
    table = create(aws.client("dynamodb", config=IMPATIENT), "table")
    acknowledged: list[tuple[str, int]] = []
    stopped = threading.Event()

    def write(name: str) -> None:
        client = aws.client("dynamodb", config=IMPATIENT)
        number = 0
        while not stopped.is_set():
            number += 1
            try:
                client.put_item(
                    TableName=table,
                    Item=item(name, number),
                    ConditionExpression="attribute_not_exists(experiment)",
                )
                acknowledged.append((name, number))
            except (BotoCoreError, ClientError):
                stopped.wait(0.05)

    writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for writer in writers:
        writer.start()
    try:
        for _ in range(3):
            enough = len(acknowledged) + 100
            deadline = time.monotonic() + 60
            while len(acknowledged) < enough:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            aws.restart(kill=True)
    finally:
        stopped.set()
        for writer in writers:
            writer.join()
    stored = {
        (one["experiment"]["S"], int(one["number"]["N"])) for one in scan(aws.client("dynamodb"), table)
    }
    assert stored >= set(acknowledged)


def test_keys_parameters_and_secrets_survive_a_kill(new_local_aws: Callable[[], Any]) -> None:
    aws = new_local_aws()
    kms, ssm, secrets = (aws.client(service) for service in ("kms", "ssm", "secretsmanager"))
    key = kms.create_key(Description="data", Tags=[{"TagKey": "team", "TagValue": "ml"}])["KeyMetadata"][
        "KeyId"
    ]
    kms.create_alias(AliasName="alias/data", TargetKeyId=key)
    kms.enable_key_rotation(KeyId=key)
    sealed = kms.encrypt(KeyId="alias/data", Plaintext=b"open sesame")["CiphertextBlob"]
    signer = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    signed = kms.sign(KeyId=signer, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")["Signature"]
    ssm.put_parameter(Name="/mlops/dev/url", Value="1", Type="String", Tags=[{"Key": "a", "Value": "b"}])
    ssm.put_parameter(Name="/mlops/dev/url", Value="2", Type="String", Overwrite=True)
    secrets.create_secret(Name="airflow/connections/x", SecretString="one", KmsKeyId=key)
    secrets.put_secret_value(SecretId="airflow/connections/x", SecretString="two")

    aws.restart(kill=True)

    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"open sesame"
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    assert kms.list_resource_tags(KeyId=key)["Tags"] == [{"TagKey": "team", "TagValue": "ml"}]
    verified = kms.verify(KeyId=signer, Message=b"m", Signature=signed, SigningAlgorithm="ECDSA_SHA_256")
    assert verified["SignatureValid"]
    history = ssm.get_parameter_history(Name="/mlops/dev/url")["Parameters"]
    assert [(one["Version"], one["Value"]) for one in history] == [(1, "1"), (2, "2")]
    tags = ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/mlops/dev/url")["TagList"]
    assert tags == [{"Key": "a", "Value": "b"}]
    secret = secrets.describe_secret(SecretId="airflow/connections/x")
    assert secret["KmsKeyId"] == key
    assert secrets.get_secret_value(SecretId="airflow/connections/x")["SecretString"] == "two"
    with pytest.raises(ClientError) as error:
        secrets.rotate_secret(SecretId="airflow/connections/x")
    assert code(error) == "UnsupportedOperation"

"""Which operations of each service are computed, stored or refused here: read off the code that answers them.

computed: the call does what it does on AWS. stored: moto answers from its records, and nothing happens
because of it. refused: answered with UnsupportedOperation. An operation is computed when a handler of this
project answers it, or when moto's handler answers it from a backend that does the work (`BEHIND_MOTO`). The
documentation is made of this, by a server that has everything installed: `python -m local_aws support`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from moto.core.utils import camelcase_to_underscores, get_service_model

from local_aws import moto_hooks

SERVICES = (
    *("s3", "glue", "athena", "sagemaker", "sagemaker-runtime", "lambda", "events", "sns", "sqs"),
    *("cloudwatch", "logs", "firehose", "dynamodb", "mwaa", "cloudformation", "kms", "secretsmanager", "ssm"),
    *("iam", "sts"),
)

# Answered by moto's handlers, done by backends of ours (or by moto, as its ciphers are).
BEHIND_MOTO: dict[str, tuple[str, ...]] = {
    "s3": (
        *("PutObject", "GetObject", "HeadObject", "CopyObject", "DeleteObject", "DeleteObjects"),
        *("ListObjects", "ListObjectsV2", "ListObjectVersions", "GetObjectAttributes"),
        *("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"),
        *("AbortMultipartUpload", "ListParts", "ListMultipartUploads"),
        *("CreateBucket", "DeleteBucket", "HeadBucket", "ListBuckets", "PutBucketVersioning"),
        "PutBucketNotificationConfiguration",
    ),
    "lambda": (
        *("CreateFunction", "UpdateFunctionCode", "UpdateFunctionConfiguration", "Invoke"),
        *("PublishVersion", "CreateAlias", "UpdateAlias", "PublishLayerVersion", "AddPermission"),
        *("PutFunctionConcurrency", "PutFunctionEventInvokeConfig", "UpdateFunctionEventInvokeConfig"),
        *("CreateEventSourceMapping", "UpdateEventSourceMapping", "DeleteEventSourceMapping"),
    ),
    "events": (
        *("PutEvents", "PutRule", "PutTargets", "EnableRule", "DisableRule", "DeleteRule", "RemoveTargets"),
    ),
    "sns": ("Publish", "PublishBatch", "Subscribe", "Unsubscribe", "SetSubscriptionAttributes"),
    "sqs": (
        *("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"),
        *("ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "PurgeQueue", "CreateQueue"),
    ),
    "cloudwatch": (
        *("PutMetricData", "GetMetricData", "GetMetricStatistics", "ListMetrics"),
        *("PutMetricAlarm", "PutCompositeAlarm", "DescribeAlarms", "DescribeAlarmHistory", "SetAlarmState"),
        *("EnableAlarmActions", "DisableAlarmActions", "DeleteAlarms"),
    ),
    "logs": (
        *("CreateLogGroup", "CreateLogStream", "DeleteLogGroup", "DeleteLogStream", "DescribeLogGroups"),
        *("DescribeLogStreams", "PutLogEvents", "GetLogEvents", "FilterLogEvents"),
    ),
    "firehose": ("CreateDeliveryStream", "UpdateDestination", "PutRecord", "PutRecordBatch"),
    "dynamodb": (
        *(
            "PutItem",
            "GetItem",
            "UpdateItem",
            "DeleteItem",
            "BatchGetItem",
            "BatchWriteItem",
            "Query",
            "Scan",
        ),
        *("TransactGetItems", "TransactWriteItems", "CreateTable", "DeleteTable", "UpdateTimeToLive"),
        *("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"),
    ),
    "cloudformation": (
        *("CreateStack", "UpdateStack", "DeleteStack", "CreateChangeSet", "ExecuteChangeSet"),
        *("DescribeStacks", "DescribeStackResources", "DescribeStackEvents", "ListStacks", "GetTemplate"),
    ),
    "kms": (
        *("Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "Sign"),
        *("Verify", "GenerateMac", "VerifyMac", "GenerateRandom"),
    ),
    "sts": ("GetCallerIdentity",),
}

# moto's S3 chooses its handlers by URL and query, so that some have not the operation's name.
S3_BY_OTHER_NAMES = (
    *("CompleteMultipartUpload", "CreateBucket", "CreateMultipartUpload", "DeleteObjects", "ListBuckets"),
    *("GetBucketLifecycleConfiguration", "GetBucketNotificationConfiguration", "GetBucketRequestPayment"),
    *("GetBucketTagging", "GetObjectRetention", "PutBucketAccelerateConfiguration", "PutBucketAcl"),
    *("PutBucketCors", "PutBucketEncryption", "PutBucketInventoryConfiguration", "PutBucketLogging"),
    *("PutBucketLifecycleConfiguration", "PutBucketNotificationConfiguration", "PutBucketPolicy"),
    *("PutBucketOwnershipControls", "PutBucketReplication", "PutBucketTagging", "PutBucketVersioning"),
    *("PutBucketWebsite", "PutObjectLockConfiguration", "PutPublicAccessBlock", "RestoreObject"),
    "SelectObjectContent",
)


class Support(NamedTuple):
    """The operations of one service, each in alphabetical order."""

    computed: list[str]
    stored: list[str]
    refused: list[str]


def table(install_late: Callable[[str], None]) -> dict[str, Support]:
    """Service -> its operations. install_late: installs a service that nobody has asked for yet."""
    for service in SERVICES:
        install_late(moto_hooks.module_name(service))
    return {service: support(service) for service in SERVICES}


def support(service: str) -> Support:
    """Raises ValueError when a declaration above does not fit the code."""
    found = Support([], [], [])
    handlers = list(moto_hooks.response_classes(service))
    refused = moto_hooks.refused(service)
    declared = set(BEHIND_MOTO.get(service, ()))
    stored = _stored(service)
    operations = sorted(get_service_model(service).operation_names)
    for operation in operations:
        owner = None if operation in refused else _owner(service, operation, handlers)
        if owner is None:
            found.refused.append(operation)
        elif operation in declared or (owner.startswith("local_aws") and operation not in stored):
            found.computed.append(operation)
        else:
            found.stored.append(operation)
    wrong = declared & set(found.refused) | declared - set(operations)
    if wrong:
        raise ValueError(f"{service}: declared as computed, but nothing answers {', '.join(sorted(wrong))}")
    return found


def markdown(table: dict[str, dict[str, list[str]]]) -> str:
    """How many operations of each service are computed, stored and refused."""
    rows = [
        f"| {service} | {len(row['computed'])} | {len(row['stored'])} | {len(row['refused'])} |"
        for service, row in table.items()
    ]
    return "\n".join(("| service | computed | stored | refused |", "|---|--:|--:|--:|", *rows)) + "\n"


def markdown_by_name(table: dict[str, dict[str, list[str]]]) -> str:
    """The same by name; what is refused is all the rest of the API."""
    parts = [
        "# Operations of local AWS",
        "Made by `python -m local_aws support --names`. *Computed*: the call does what it does on AWS. "
        "*Stored*: answered from records (also of what is computed), and nothing happens because of it. "
        "All others of these services are refused with `UnsupportedOperation`, naming the operation.",
    ]
    for service, row in table.items():
        parts.append(f"## {service}")
        parts.append(f"**Computed** ({len(row['computed'])}): {_names(row['computed'])}")
        parts.append(f"**Stored** ({len(row['stored'])}): {_names(row['stored'])}")
        parts.append(f"Refused: {len(row['refused'])}")
    return "\n\n".join(parts) + "\n"


def _names(operations: Iterable[str]) -> str:
    return ", ".join(operations) or "none"


def _owner(service: str, operation: str, handlers: list[type[Any]]) -> str | None:
    """The module whose code answers an operation; None when there is no such code."""
    if service == "sagemaker-runtime":  # answered by the data plane, not by moto
        from local_aws.services.sagemaker.operations import RUNTIME

        return "local_aws.serving" if operation in RUNTIME else None
    name = camelcase_to_underscores(operation)
    for handler in handlers:
        for base in handler.__mro__:
            if name in vars(base):
                return base.__module__
    return "moto.s3" if service == "s3" and operation in S3_BY_OTHER_NAMES else None


def _stored(service: str) -> frozenset[str]:
    """Operations that handlers of ours hand on to moto's records."""
    if service != "sagemaker":
        return frozenset()
    from local_aws.services.sagemaker.operations import STORED

    return frozenset(STORED)

"""The function's entry: events of EventBridge, batches of a queue, and direct calls.

A queue's message that can never become a run is put into the dead-letter queue at once, with its reason; one
that Airflow does not take now stays in the queue, and goes there with its reason after the last delivery.
Every other caller gets the reason as the function's error; Lambda's own retries and dead-letter queue apply.

Variables: MWAA_ENVIRONMENT, DEAD_LETTER_QUEUE_URL, MAXIMUM_RECEIVES, and those that routes.toml names.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from trigger_dag import airflow, routes

SERVICE = "trigger_dag"
logger = Logger(service=SERVICE)
metrics = Metrics(namespace="mlops/triggers", service=SERVICE)
metrics.set_default_dimensions(environment=os.environ.get("MWAA_ENVIRONMENT", ""))
# The message stays in the queue; Powertools would otherwise fail a batch whose messages have all failed.
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Lambda's entry. For a batch the messages that failed, else what was done."""
    records = event.get("Records") if isinstance(event, dict) else None
    if records and records[0].get("eventSource") == "aws:sqs":
        return process_partial_response(
            event=event,
            record_handler=lambda record: from_queue(record, context),
            processor=processor,
            context=context,
        )
    return started(event, context)


def from_queue(record: SQSRecord, context: LambdaContext) -> dict[str, str]:
    """One message. Raises airflow.Unavailable: the message is to come again."""
    try:
        try:
            event = json.loads(record.body)
        except ValueError as error:
            raise routes.Unroutable(f"the message is no JSON: {error}") from error
        return started(event, context)
    except (routes.Unroutable, airflow.Refused) as error:
        return buried(record, error)
    except airflow.Unavailable as error:
        if int(record.attributes.approximate_receive_count) < int(os.environ["MAXIMUM_RECEIVES"]):
            raise
        return buried(record, error)


def started(event: Any, context: LambdaContext) -> dict[str, str]:
    """Start what the event asks for. Raises routes.Unroutable, airflow.Refused, airflow.Unavailable."""
    run = routes.start_of(event, table())
    logger.append_keys(route=run.route, dag_id=run.dag, run_id=run.run_id)
    try:
        outcome = airflow.start(
            mwaa(),
            os.environ["MWAA_ENVIRONMENT"],
            run,
            has_time=lambda seconds: context.get_remaining_time_in_millis() > (seconds + 15) * 1000,
        )
    except airflow.Unavailable as error:
        logger.warning("Airflow does not take the run now", extra={"reason": str(error)})
        metrics.add_metric("Unavailable", MetricUnit.Count, 1)
        raise
    if outcome == "duplicate":
        logger.info("this event has started its run before: nothing to do")
    else:
        logger.info("run started", extra={"conf": run.conf})
    metrics.add_metric({"started": "Started", "duplicate": "Duplicate"}[outcome], MetricUnit.Count, 1)
    return {"outcome": outcome, "dag_id": run.dag, "run_id": run.run_id}


def buried(record: SQSRecord, reason: Exception) -> dict[str, str]:
    """Move a message to the dead-letter queue, with the attributes of Lambda's own dead letters."""
    texts = {
        "ErrorMessage": str(reason)[:1024],
        "ErrorType": type(reason).__name__,
        "MessageId": record.message_id,
    }
    sqs().send_message(
        QueueUrl=os.environ["DEAD_LETTER_QUEUE_URL"],
        MessageBody=record.body,
        MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in texts.items()},
    )
    logger.error("put into the dead-letter queue", extra=texts)
    metrics.add_metric("Buried", MetricUnit.Count, 1)
    return {"outcome": "buried"}


@cache
def table() -> dict[str, dict[str, Any]]:
    return routes.load(os.environ)


@cache
def mwaa() -> Any:
    # One attempt of botocore's own: airflow.start paces the others by the time that is left.
    settings = Config(
        connect_timeout=3, read_timeout=12, retries={"mode": "standard", "total_max_attempts": 1}
    )
    return boto3.client("mwaa", config=settings)


@cache
def sqs() -> Any:
    return boto3.client("sqs")

"""`make redrive`: show the events that could not become runs, with their reasons, and deliver them once more.

A second delivery is safe: a run's id derives from its event, so what has started a run starts none again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape

import config
from workbench import accounts, provision
from workbench.progress import say
from workbench.settings import Settings, WorkbenchError

BATCH = 10  # messages of one ReceiveMessage
NO_REASON = "trigger_dag died on it: its log group has the reason"


@dataclass(frozen=True)
class Dead:
    """One event in the dead-letter queue. body: as it was first delivered."""

    body: str
    reason: str
    handle: str


def run(environment: str, *, only_list: bool) -> None:
    """Show what waits in an environment's dead-letter queue, and unless only_list deliver it once more."""
    try:
        known = config.load(environment)
        client = accounts.of_environment(known)
        accounts.require(known, client)
        sqs = client("sqs")
        dead_url, url = queue_urls(sqs, known.stem)
        events = dead_letters(sqs, dead_url)
        for event in events:
            say(f"{escape(event.reason)}\n  [dim]{escape(event.body)}[/dim]")
        if only_list:
            release(sqs, dead_url, events)
        else:
            redrive(sqs, dead_url, url, events)
    except (BotoCoreError, ClientError) as error:
        raise WorkbenchError(f"the queues of environment {environment} cannot be read: {error}") from error
    except config.SettingsError as error:
        raise WorkbenchError(str(error)) from error
    say(f"events {'that wait' if only_list else 'delivered once more'}: {len(events)}")


def waiting(settings: Settings) -> int:
    """How many events wait in the dead-letter queue of the local stack. Raises botocore's errors."""
    sqs = provision.client(settings, "sqs")
    return _count(sqs, queue_urls(sqs, config.load("local").stem)[0])


def dead_letters(sqs: Any, url: str) -> list[Dead]:
    """What waits in the dead-letter queue now; each is hidden from other readers for a minute."""
    count = _count(sqs, url)
    found: list[Dead] = []
    # No more than wait now: an event that fails again at once would be taken for another.
    while len(found) < count:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(BATCH, count - len(found)),
            MessageAttributeNames=["ErrorMessage"],
            VisibilityTimeout=60,
            WaitTimeSeconds=1,
        )
        if not answer.get("Messages"):
            break
        for message in answer["Messages"]:
            reason = message.get("MessageAttributes", {}).get("ErrorMessage", {}).get("StringValue")
            found.append(Dead(message["Body"], reason or NO_REASON, message["ReceiptHandle"]))
    return found


def redrive(sqs: Any, dead_url: str, url: str, events: list[Dead]) -> None:
    """Send each event to its queue again, then remove it from the dead-letter queue."""
    for event in events:
        sqs.send_message(QueueUrl=url, MessageBody=event.body)
        sqs.delete_message(QueueUrl=dead_url, ReceiptHandle=event.handle)


def release(sqs: Any, url: str, events: list[Dead]) -> None:
    """Let others see at once what was only looked at."""
    for event in events:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=event.handle, VisibilityTimeout=0)


def queue_urls(sqs: Any, stem: str) -> tuple[str, str]:
    """(dead-letter queue, queue) of an environment; infrastructure/triggers.yaml names them."""
    names = (f"{stem}-triggers-dead", f"{stem}-triggers")
    dead, queue = (str(sqs.get_queue_url(QueueName=name)["QueueUrl"]) for name in names)
    return dead, queue


def _count(sqs: Any, url: str) -> int:
    name = "ApproximateNumberOfMessages"
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])

"""Redrive shows each dead letter with its reason and sends it once, and only then removes it."""

from __future__ import annotations

from typing import Any

import pytest

from workbench import accounts
from workbench.redrive import NO_REASON, dead_letters, redrive, run

BAD = {"ErrorMessage": {"DataType": "String", "StringValue": "no route"}}


class FakeSqs:
    """One dead-letter queue that gives two messages a call; `sent` and `deleted` in one order of calls."""

    def __init__(self, *bodies: str) -> None:
        self.waiting = [
            {"Body": body, "ReceiptHandle": f"handle of {body}", "MessageAttributes": BAD} for body in bodies
        ]
        self.calls: list[tuple[str, str]] = []
        self.fails = ""

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> Any:
        return {"Attributes": {"ApproximateNumberOfMessages": str(len(self.waiting))}}

    def receive_message(self, MaxNumberOfMessages: int, **_: Any) -> Any:
        given, self.waiting = self.waiting[:2], self.waiting[2:]
        return {"Messages": given[:MaxNumberOfMessages]} if given else {}

    def send_message(self, QueueUrl: str, MessageBody: str) -> None:
        if self.fails == MessageBody:
            raise OSError("no connection")
        self.calls.append(("send", MessageBody))

    def change_message_visibility(self, ReceiptHandle: str, VisibilityTimeout: int, **_: Any) -> None:
        self.calls.append((f"hide for {VisibilityTimeout}", ReceiptHandle))

    def get_queue_url(self, QueueName: str) -> Any:
        return {"QueueUrl": QueueName}

    def delete_message(self, QueueUrl: str, ReceiptHandle: str) -> None:
        self.calls.append(("delete", ReceiptHandle))


def test_every_letter_is_shown_with_its_reason_and_delivered_once_more() -> None:
    sqs = FakeSqs("a", "b", "c")
    del sqs.waiting[1]["MessageAttributes"]

    letters = dead_letters(sqs, "dead")
    redrive(sqs, "dead", "queue", letters)

    assert [(letter.body, letter.reason) for letter in letters] == [
        ("a", "no route"),
        ("b", NO_REASON),
        ("c", "no route"),
    ]
    assert sqs.calls == [call for name in "abc" for call in (("send", name), ("delete", f"handle of {name}"))]


def test_what_was_only_looked_at_can_be_redriven_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sqs = FakeSqs("a", "b", "c")
    monkeypatch.setattr(accounts, "of_environment", lambda _: lambda _: sqs)
    monkeypatch.setattr(accounts, "require", lambda *_: None)
    run("dev", only_list=True)
    assert sqs.calls == [("hide for 0", f"handle of {body}") for body in "abc"]
    assert capsys.readouterr().out.endswith("events that wait: 3\n")


def test_what_cannot_be_sent_is_not_removed() -> None:
    sqs = FakeSqs("a", "b")
    letters = dead_letters(sqs, "dead")
    sqs.fails = "b"

    with pytest.raises(OSError, match="no connection"):
        redrive(sqs, "dead", "queue", letters)

    assert ("delete", "handle of b") not in sqs.calls


def test_letters_that_come_meanwhile_wait_for_the_next_time() -> None:
    sqs = FakeSqs("a")

    def again(**_: Any) -> Any:
        return {"Messages": [{"Body": "a", "ReceiptHandle": "h"}]}

    sqs.receive_message = again  # type: ignore[assignment,method-assign]
    assert len(dead_letters(sqs, "dead")) == 1

"""What one service owes another: kept on disk until it has been delivered, retried, or put into a
dead-letter queue.

EventBridge's rules, S3's notifications, SNS's subscriptions and CloudWatch's alarm actions are such debts.
Whoever owes calls `add`; from then on a kill loses nothing. Deliveries are made at least once, as on AWS: one
that is interrupted between the target's acceptance and the note of it is made again.
"""

from __future__ import annotations

from collections.abc import Iterable

from local_aws.context import Context
from local_aws.services.delivery.courier import Courier
from local_aws.services.delivery.queue import DeadLetter, Delivery, Queue, Slot

__all__ = ["DeadLetter", "Delivery", "Slot", "add", "forget_slot", "install", "resume", "slots", "store_slot"]

_courier: Courier | None = None


def install(context: Context) -> None:
    """Open the queue. Call before the first `add`; what an earlier run left is delivered after `resume`."""
    global _courier  # noqa: PLW0603  # one local AWS a process
    _courier = Courier(context, Queue(context.data_dir / "deliveries.sqlite"))


def resume(context: Context) -> None:  # noqa: ARG001
    _installed().start()


def add(deliveries: Iterable[Delivery]) -> None:
    """Durable when it returns. The state lock may be held or not."""
    _installed().add(list(deliveries))


def slots() -> dict[str, Slot]:
    """Schedules by name."""
    return _installed().queue.slots()


def store_slot(name: str, slot: Slot, owed: Iterable[Delivery]) -> None:
    """A schedule's next slot and what its last one owes, in one transaction."""
    _installed().store_slot(name, slot, list(owed))


def forget_slot(name: str) -> None:
    _installed().queue.forget_slot(name)


def _installed() -> Courier:
    assert _courier is not None, "local_aws.services.delivery is not installed"
    return _courier

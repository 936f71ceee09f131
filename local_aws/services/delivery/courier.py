"""The thread that delivers what is due, and what becomes of what cannot be delivered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from local_aws.context import Context
from local_aws.services.delivery.queue import Delivery, Due, Queue, Slot
from local_aws.services.delivery.targets import Undeliverable, send

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 512.0  # seconds; doubling, 185 retries take about a day, as EventBridge's
LONGEST_SLEEP = 60.0
Send = Callable[[Context, Delivery], str | None]


class Courier:
    """send: gives a delivery to its target and returns the state that it changed (see targets)."""

    def __init__(self, context: Context, queue: Queue, send: Send = send) -> None:
        self._context = context
        self.queue = queue
        self._send = send
        self._wake = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="deliveries", daemon=True).start()

    def add(self, deliveries: list[Delivery]) -> None:
        if deliveries:
            self.queue.add(deliveries, self._now())
            self._wake.set()

    def store_slot(self, name: str, slot: Slot, owed: list[Delivery]) -> None:
        self.queue.store_slot(name, slot, owed, self._now())
        if owed:
            self._wake.set()

    def deliver_due(self) -> int:
        """One round: everything that is due now. Returns how many it tried."""
        due = self.queue.due(self._now())
        if not due:
            return 0
        done: list[int] = []
        again: list[tuple[int, float]] = []
        with self._context.state.lock("sqs"):  # one lock for all services
            changed: set[str] = set()
            for item in due:
                if (retry_at := self._attempt(item, changed)) is None:
                    done.append(item.id)
                else:
                    again.append((item.id, retry_at))
            for service in sorted(changed):
                self._context.state.commit(service)
        self.queue.settle(done, again)
        return len(due)

    def _attempt(self, item: Due, changed: set[str]) -> float | None:
        """Deliver one. The time of the next attempt, or None when it is over."""
        delivery = item.delivery
        try:
            if refused := delivery.options.get("refused"):
                raise Undeliverable(*refused)
            self._give(delivery, changed)
        except Undeliverable as error:
            failure = error
        except Exception as error:
            log.exception("delivery from %s to %s failed", delivery.source, delivery.target)
            failure = Undeliverable("INTERNAL_ERROR", f"{type(error).__name__}: {error}", retry=True)
        else:
            return None
        retry_at = self._now() + min(FIRST_PAUSE * 2**item.attempts, LONGEST_PAUSE)
        exhausted = None
        if failure.retry:
            if item.attempts >= delivery.maximum_attempts:
                exhausted = "MaximumRetryAttempts"
            elif retry_at - item.added > delivery.maximum_age:
                exhausted = "MaximumEventAgeInSeconds"
            else:
                return retry_at
        self._give_up(item, failure, exhausted, changed)
        return None

    def _give(self, delivery: Delivery, changed: set[str]) -> None:
        service = self._send(self._context, delivery)
        if service is not None:
            changed.add(service)

    def _give_up(self, item: Due, failure: Undeliverable, exhausted: str | None, changed: set[str]) -> None:
        delivery, letter = item.delivery, item.delivery.dead_letter
        log.warning("%s -> %s: not delivered (%s)", delivery.source, delivery.target, failure)
        if letter is None:
            return
        attributes = dict(letter.attributes)
        if letter.tell_why:
            attributes |= {"ERROR_CODE": failure.code, "ERROR_MESSAGE": failure.message}
            attributes["RETRY_ATTEMPTS"] = str(item.attempts)
            if exhausted:
                attributes["EXHAUSTED_RETRY_CONDITION"] = exhausted
        last = Delivery(letter.queue, letter.body, delivery.source, {"attributes": attributes})
        try:
            self._give(last, changed)
        except Exception:
            log.exception("%s -> %s: the dead-letter queue does not take it", delivery.source, letter.queue)

    def _run(self) -> None:
        while True:
            try:
                self._wake.clear()
                while self.deliver_due():
                    pass
                due = self.queue.next_due()
                pause = LONGEST_SLEEP if due is None else max(due - self._now(), 0.05)
                self._wake.wait(min(pause, LONGEST_SLEEP))
            except Exception:
                log.exception("deliveries cannot be made")
                self._wake.wait(1.0)

    def _now(self) -> float:
        return self._context.clock().timestamp()

"""The rules that run on a schedule.

The next slot of a rule is stored in the transaction that stores what the present one owes, so that a slot is
never served twice, whenever the server is killed. A slot that is found late by more than a minute (nothing
ran, the machine slept) is left out: EventBridge, which is never down, promises the minute, replays none.
"""

from __future__ import annotations

import logging
import threading
import uuid
from datetime import UTC, datetime, timedelta

from moto.events.models import Rule, events_backends

from local_aws.context import Context
from local_aws.services import delivery
from local_aws.services.events import schedules
from local_aws.services.events.backend import Backend

log = logging.getLogger(__name__)

ROUND_SECONDS = 1.0
LATEST = timedelta(seconds=60)


def start(context: Context) -> None:
    threading.Thread(target=_run, args=(context,), name="schedules", daemon=True).start()


def tick(context: Context) -> None:
    """Serve every slot that has come."""
    now = context.clock()
    with context.state.lock("events"):
        slots = delivery.slots()
        kept = set()
        for _, _, backend in events_backends.iter_backends():
            assert isinstance(backend, Backend)
            for rule in backend.event_buses["default"].rules.values():
                if rule.scheduled_expression:
                    kept.add(rule.arn)
                    _serve(backend, rule, slots.get(rule.arn), now)
        for gone in set(slots) - kept:
            delivery.forget_slot(gone)


def _serve(backend: Backend, rule: Rule, slot: delivery.Slot | None, now: datetime) -> None:
    schedule = schedules.parse(rule.scheduled_expression)
    if slot is None or slot.expression != rule.scheduled_expression:
        _store(rule, schedule.after(now), [])
        return
    if slot.next is None or now.timestamp() < slot.next:
        return
    due = datetime.fromtimestamp(slot.next, UTC)
    following = schedule.after(due)
    while following is not None and following <= now:
        following = schedule.after(following)
    if isinstance(schedule, schedules.Rate) and now - due > LATEST:
        following = schedule.after(now)
    owed = []
    if now - due > LATEST:
        log.warning("%s: the slot of %s was missed, nothing was running", rule.arn, due.isoformat())
    elif rule.state.startswith("ENABLED"):
        event_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{rule.arn}@{due.isoformat()}"))
        event = backend.event("aws.events", "Scheduled Event", {}, [rule.arn], due, event_id)
        owed = backend.owed(rule, event)
    _store(rule, following, owed)


def _store(rule: Rule, following: datetime | None, owed: list[delivery.Delivery]) -> None:
    moment = None if following is None else following.timestamp()
    delivery.store_slot(rule.arn, delivery.Slot(rule.scheduled_expression, moment), owed)


def _run(context: Context) -> None:
    pause = threading.Event()
    while not pause.wait(ROUND_SECONDS):
        try:
            tick(context)
        except Exception:
            log.exception("schedules cannot be served")

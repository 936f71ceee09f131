"""moto's EventBridge with rules that match as AWS's do, and targets that receive."""

from __future__ import annotations

import functools
import json
import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from moto.core.exceptions import JsonRESTError
from moto.events.exceptions import InvalidEventPatternException, ValidationException
from moto.events.models import EventBus, EventsBackend, Rule

from local_aws import aws_errors
from local_aws.context import Context
from local_aws.services import delivery
from local_aws.services.delivery.queue import DeadLetter, Delivery
from local_aws.services.delivery.targets import kind
from local_aws.services.events import patterns, schedules, transform

log = logging.getLogger(__name__)

LARGEST_BATCH = 10
LARGEST_REQUEST = 256 * 1024  # bytes of all entries together
MOST_TARGETS = 5  # of one rule
MOST_HOPS = 5  # from bus to bus, so that two rules cannot send an event to and fro for ever
Event = dict[str, Any]

compiled = functools.lru_cache(maxsize=512)(patterns.compile_pattern)


class Backend(EventsBackend):
    """One region. Buses, rules and targets are moto's; matching and delivery are not."""

    context: ClassVar[Context]

    def put_rule(self, name: str, *args: Any, **kwargs: Any) -> Rule:
        pattern, schedule = kwargs.get("event_pattern"), kwargs.get("scheduled_expression")
        if pattern:
            try:
                compiled(pattern)
            except patterns.InvalidPattern as error:
                raise InvalidEventPatternException(str(error)) from None
        if schedule:
            try:
                schedules.parse(schedule)
            except schedules.InvalidSchedule:
                raise ValidationException("Parameter ScheduleExpression is not valid.") from None
        return super().put_rule(name, *args, **kwargs)

    def put_targets(self, name: str, event_bus_arn: str | None, targets: list[dict[str, Any]]) -> None:
        for target in targets:
            arn = target["Arn"]
            if arn.startswith("arn:") and not kind(arn):
                raise aws_errors.unsupported("events", "PutTargets", f"the target {arn}")
            dead_letter = (target.get("DeadLetterConfig") or {}).get("Arn")
            if dead_letter and kind(dead_letter) != "sqs":
                raise ValidationException(
                    f"Parameter DeadLetterConfig.Arn is not valid for target {target['Id']}. "
                    "Reason: it must be the ARN of an SQS queue."
                )
            try:
                transform.check(target)
            except transform.InvalidInput as error:
                raise ValidationException(str(error)) from None
        bus = self.event_buses.get(self._normalize_event_bus_arn(event_bus_arn))
        rule = bus.rules.get(name) if bus is not None else None
        known = {target["Id"] for target in rule.targets} if rule is not None else set()
        if len(known | {target["Id"] for target in targets}) > MOST_TARGETS:
            raise JsonRESTError(
                "LimitExceededException", "The requested resource exceeds the maximum number allowed."
            )
        super().put_targets(name, event_bus_arn, targets)

    def put_events(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if len(events) > LARGEST_BATCH:
            raise ValidationException(
                "1 validation error detected: Value '[PutEventsRequestEntry]' at 'entries' failed to satisfy "
                f"constraint: Member must have length less than or equal to {LARGEST_BATCH}"
            )
        if sum(_size(entry) for entry in events) > LARGEST_REQUEST:
            raise ValidationException("Total size of the entries in the request is over the limit.")
        answers: list[dict[str, Any]] = []
        for entry in events:
            if (refusal := _refusal(entry)) is not None:
                answers.append({"ErrorCode": refusal[0], "ErrorMessage": refusal[1]})
                continue
            bus = self.describe_event_bus(self._normalize_event_bus_arn(entry.get("EventBusName")))
            event = self.event(
                entry["Source"],
                entry["DetailType"],
                json.loads(entry["Detail"]),
                entry.get("Resources") or [],
                _moment(entry.get("Time")),
            )
            self.route(bus, event)
            answers.append({"EventId": event["id"]})
        return answers

    def event(
        self,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Iterable[str],
        time: datetime | None = None,
        event_id: str | None = None,
    ) -> Event:
        moment = (time or self.context.clock()).astimezone(UTC)
        return {
            "version": "0",
            "id": event_id or str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self.account_id,
            "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self.region_name,
            "resources": list(resources),
            "detail": detail,
        }

    def route(self, bus: EventBus, event: Event, hops: int = 0) -> None:
        """Give an event to the targets of every rule that matches it. Durable when it returns."""
        event = json.loads(json.dumps(event))
        deliveries = [
            one
            for rule in bus.rules.values()
            if rule.state.startswith("ENABLED") and _matches(rule, event)
            for one in self.owed(rule, event, hops)
        ]
        delivery.add(deliveries)

    def forward(self, bus_name: str, arrived: Delivery) -> None:
        """An event that comes from another bus, as it was there."""
        hops = int(arrived.options["hops"]) + 1
        if hops > MOST_HOPS:
            log.error("%s: the event went through %d buses and goes no further", arrived.source, hops)
            return
        self.route(self.event_buses[bus_name], json.loads(arrived.body), hops)

    def owed(self, rule: Rule, event: Event, hops: int = 0) -> list[Delivery]:
        """One delivery a target. A target that this event cannot be made fit for does not stop the others."""
        return [self._delivery(rule, target, event, hops) for target in rule.targets]

    def _delivery(self, rule: Rule, target: Mapping[str, Any], event: Event, hops: int) -> Delivery:
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        why = {"RULE_ARN": rule.arn, "TARGET_ARN": target["Arn"]}
        dead_letter = DeadLetter(queue, json.dumps(event), why, tell_why=True) if queue else None
        about = {
            "arn": rule.arn,
            "name": rule.name,
            "ingestion-time": self.context.clock().strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        options: dict[str, Any] = {"hops": hops}
        if group := (target.get("SqsParameters") or {}).get("MessageGroupId"):
            options["group_id"] = group
        try:
            # Between buses an event stays as it is.
            body = json.dumps(event) if kind(target["Arn"]) == "events" else (
                transform.target_input(target, event, about)
            )  # fmt: skip
        except transform.InvalidInput as error:
            body, options["refused"] = "", ["INVALID_JSON", str(error)]
        retry = target.get("RetryPolicy") or {}
        return Delivery(
            target["Arn"],
            body,
            rule.arn,
            options,
            retry.get("MaximumRetryAttempts", Delivery.maximum_attempts),
            retry.get("MaximumEventAgeInSeconds", Delivery.maximum_age),
            dead_letter,
        )


def _matches(rule: Rule, event: Event) -> bool:
    text = rule.event_pattern.dump()
    return bool(text) and compiled(text).matches(event)


def _refusal(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            return "InvalidArgument", (
                f"Parameter {name} is not valid. Reason: {name} is a required argument."
            )
    if re.match(r"aws\.", entry["Source"]):
        return "NotAuthorizedForSource", "Not authorized for the source."
    try:
        detail = json.loads(entry["Detail"])
    except ValueError:
        return "MalformedDetail", "Detail is malformed."
    return None if isinstance(detail, dict) else ("MalformedDetail", "Detail is malformed.")


def _size(entry: Mapping[str, Any]) -> int:
    """As "Calculating PutEvents event entry size" counts it."""
    texts = [entry.get(name) or "" for name in ("Source", "DetailType", "Detail")]
    texts += entry.get("Resources") or []
    return sum(len(str(text).encode()) for text in texts) + (14 if entry.get("Time") else 0)


def _moment(value: Any) -> datetime | None:
    """Time of a request, which the protocols write as seconds or as text."""
    if value is None or isinstance(value, datetime):
        return value
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(value)

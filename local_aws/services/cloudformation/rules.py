"""EventBridge's rules as CloudFormation resources."""

from __future__ import annotations

from moto.events.models import EventsBackend, Rule, events_backends

from local_aws import moto_hooks


def install() -> None:
    moto_hooks.replace_attribute("events", "Rule", "delete", _delete)


def _delete(self: Rule, account_id: str, region_name: str) -> None:
    """Remove the rule of that name, with its targets. moto takes the targets off the stack's own object,
    which is no longer the rule itself once local AWS was started again."""
    events: EventsBackend = events_backends[account_id][region_name]
    bus = events.event_buses.get(events._normalize_event_bus_arn(self.event_bus_name))
    if bus is not None and (rule := bus.rules.get(self.name)) is not None:
        rule.remove_targets([target["Id"] for target in rule.targets])
        events.delete_rule(self.name, self.event_bus_name)

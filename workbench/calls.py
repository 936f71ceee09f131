"""Calls that change an account, each said before it is made; a dry run says them all and makes none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LONGEST = 60  # characters of one value
QUIET = frozenset({"TemplateBody"})
UNSAID = frozenset({"Metadata", "Tags", "Capabilities"})  # the same for all, or a digest of what is said


@dataclass
class Calls:
    """client: a boto3 client by the name of its service. say: where a call is told."""

    client: Callable[[str], Any]
    say: Callable[[str], None] = lambda _: None
    dry_run: bool = False
    made: list[str] = field(default_factory=list)

    def change(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """Make one call that changes something; in a dry run nothing but say it, and answer {}."""
        text = describe(service, operation, arguments)
        self.made.append(text)
        self.say(text)
        if self.dry_run:
            return {}
        answer: dict[str, Any] = getattr(self.client(service), operation)(**arguments)
        return answer

    def summary(self) -> str:
        """How many calls of which kind: `s3.put_object 12, cloudformation.update_stack 1`, or `none`."""
        counts = Counter(call.partition(" ")[0] for call in self.made)
        return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def describe(service: str, operation: str, arguments: dict[str, Any]) -> str:
    """One line: `s3.put_object Bucket=b Key=k Body=<1,234 bytes>`."""
    parts = [f"{name}={_short(name, value)}" for name, value in arguments.items() if name not in UNSAID]
    return " ".join([f"{service}.{operation}", *parts])


def _short(name: str, value: Any) -> str:
    if name == "Parameters":
        pairs = [f"{one['ParameterKey']}={one['ParameterValue']}" for one in value]
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, bytes) or name in QUIET:
        return f"<{len(value):,} {'bytes' if isinstance(value, bytes) else 'characters'}>"
    text = str(value)
    return text if len(text) <= LONGEST or name == "Key" else text[: LONGEST - 1] + "…"

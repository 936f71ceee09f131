"""Random requests that are well-formed by botocore's own service models, from a seed."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, OperationModel, Shape, StringShape, StructureShape

DEEPEST = 6
# The same few names again and again, so that requests meet what earlier ones made.
NAMES = ("alpha", "beta", "gamma-1", "delta_2")
ACCOUNT = "123456789012"
WELL_KNOWN = {
    "arn": f"arn:aws:iam::{ACCOUNT}:role/alpha",
    "s3uri": "s3://alpha/beta/",
    "bucket": "alpha",
    "key": "beta/gamma",
    "region": "us-east-1",
    "account": ACCOUNT,
    "url": "http://127.0.0.1/alpha",
}


class Requests:
    """`of(operation)` gives the parameters of one request."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def of(self, operation: OperationModel) -> dict[str, Any]:
        shape = operation.input_shape
        return dict(self._structure(shape, 0)) if shape is not None else {}

    def choose(self, items: list[Any]) -> Any:
        return self._chance.choice(items)

    def _structure(self, shape: StructureShape, depth: int) -> Iterator[tuple[str, Any]]:
        required = set(shape.required_members)
        members = [name for name, member in shape.members.items() if not _is_eventstream(member)]
        optional = [name for name in members if name not in required]
        if getattr(shape, "is_tagged_union", False):
            members = [self._chance.choice(members)]
        elif depth < DEEPEST:
            share = self._chance.random() / (1 + depth)
            members = [name for name in members if name in required or self._chance.random() < share]
        else:
            members = [name for name in members if name in required]
        del optional
        for name in members:
            yield name, self._value(shape.members[name], name, depth + 1)

    def _value(self, shape: Shape, name: str, depth: int) -> Any:
        if isinstance(shape, StructureShape):
            return dict(self._structure(shape, depth))
        if isinstance(shape, ListShape):
            lowest = int(shape.metadata.get("min", 0))
            most = min(int(shape.metadata.get("max", 3)), 3)
            length = lowest if depth > DEEPEST else self._chance.randint(lowest, max(lowest, most))
            return [self._value(shape.member, name, depth + 1) for _ in range(length)]
        if isinstance(shape, MapShape):
            keys = [self._value(shape.key, "key", depth + 1) for _ in range(self._chance.randint(0, 2))]
            return {key: self._value(shape.value, name, depth + 1) for key in keys}
        if isinstance(shape, StringShape):
            return self._text(shape, name)
        return self._scalar(shape)

    def _scalar(self, shape: Shape) -> Any:
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        lowest = int(low) if low is not None else 0
        highest = int(high) if high is not None else lowest + 100
        if shape.type_name in ("integer", "long"):
            return self._chance.choice(
                (lowest, self._chance.randint(lowest, max(lowest, min(highest, lowest + 1000))))
            )
        if shape.type_name in ("float", "double"):
            return float(self._chance.randint(lowest, max(lowest, highest)))
        if shape.type_name == "boolean":
            return self._chance.random() < 0.5
        if shape.type_name == "timestamp":
            return datetime(2024, 1, self._chance.randint(1, 28), tzinfo=UTC)
        if shape.type_name == "blob":
            return self._chance.choice((b"", b"alpha", b"{}", bytes(range(256))))
        return None

    def _text(self, shape: StringShape, name: str) -> str:
        if shape.enum:
            return str(self._chance.choice(shape.enum))
        lowest, highest = int(shape.metadata.get("min", 0)), int(shape.metadata.get("max", 10_000))
        pattern = shape.metadata.get("pattern")
        lowered = f"{name} {shape.name}".lower()
        candidates = [value for word, value in WELL_KNOWN.items() if word in lowered]
        candidates += [*NAMES, "{}", '{"a": [1]}', "é\n <&>", "1", ""]
        candidates += ["".join(self._chance.choices(string.printable, k=self._chance.randint(1, 40)))]
        fitting = [text for text in candidates if lowest <= len(text) <= highest]
        if pattern:
            fitting = [text for text in fitting if _matches(pattern, text)] or fitting
        if fitting:
            return str(self._chance.choice(fitting[:3] if self._chance.random() < 0.7 else fitting))
        return "a" * lowest


def _is_eventstream(shape: Shape) -> bool:
    return bool(getattr(shape, "is_eventstream", False))


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:  # Java's, which Python's does not understand
        return True

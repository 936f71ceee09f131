"""What a target receives of an event: all of it, a constant, a part, or a template filled from it.

After "Amazon EventBridge input transformation"
(docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.-]+)>")
STEP = re.compile(r"\.([A-Za-z0-9_/-]+)|\[(\d+|\*)\]|\.(\*)")


class InvalidInput(ValueError):
    """The message says what is wrong with a target's input, or why this event cannot fill it."""


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], rule: Mapping[str, str]) -> str:
    """The text that goes to `target`.

    rule: "arn", "name" and "ingestion-time" of this delivery. Raises InvalidInput.
    """
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(find(event, target["InputPath"]))
    if "InputTransformer" in target:
        transformer = target["InputTransformer"]
        values = {name: find(event, path) for name, path in (transformer.get("InputPathsMap") or {}).items()}
        values |= {
            "aws.events.rule-arn": rule["arn"],
            "aws.events.rule-name": rule["name"],
            "aws.events.event.ingestion-time": rule["ingestion-time"],
            "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
            "aws.events.event.json": event,
        }
        return fill(transformer["InputTemplate"], values)
    return json.dumps(event)


def check(target: Mapping[str, Any]) -> None:
    """Refuse what could never be delivered, when the target is made. Raises InvalidInput."""
    given = [name for name in ("Input", "InputPath", "InputTransformer") if name in target]
    if len(given) > 1:
        raise InvalidInput(f"Only one of Input, InputPath, or InputTransformer must be provided for target "
                           f"{target['Id']}.")  # fmt: skip
    if "Input" in target:
        try:
            json.loads(target["Input"])
        except ValueError:
            raise InvalidInput(f"JSON syntax error in input for target {target['Id']}.") from None
    if "InputPath" in target:
        _steps(target["InputPath"])
    if "InputTransformer" in target:
        transformer = target["InputTransformer"]
        paths = transformer.get("InputPathsMap") or {}
        for name, path in paths.items():
            if name.lower().startswith("aws."):
                raise InvalidInput(f"Invalid InputPathsMap for target {target['Id']}: {name} is reserved.")
            _steps(path)
        for name in PLACEHOLDER.findall(transformer["InputTemplate"]):
            if name not in paths and not name.startswith("aws.events."):
                raise InvalidInput(
                    f"Invalid InputTemplate for target {target['Id']} : [Placeholder {name} is not defined]."
                )
        try:
            fill(transformer["InputTemplate"], dict.fromkeys(paths, ""))
        except InvalidInput as error:
            raise InvalidInput(f"Invalid InputTemplate for target {target['Id']} : {error}") from None


def find(event: Any, path: str) -> Any:
    """What a path such as $.detail.items[0] names; None when the event has no such thing."""
    value = [event]
    several = False
    for name, index in _steps(path):
        found: list[Any] = []
        for one in value:
            if name == "*" or index == "*":
                several = True
                found += one if isinstance(one, list) else one.values() if isinstance(one, dict) else []
            elif name and isinstance(one, dict) and name in one:
                found.append(one[name])
            elif index and isinstance(one, list) and int(index) < len(one):
                found.append(one[int(index)])
        value = found
    return value if several else value[0] if value else None


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Replace <name> by its value: inside quotes as text, outside quotes as JSON. A name without a value
    leaves nothing inside quotes, and an empty string outside. Each line must be JSON, or all together."""
    filled = []
    quoted = False
    position = 0
    for match in PLACEHOLDER.finditer(template):
        before = template[position : match.start()]
        quoted ^= len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        value = values.get(match[1])
        filled += [before, _quoted(value) if quoted else json.dumps("" if value is None else value)]
        position = match.end()
    text = "".join([*filled, template[position:]])
    for check_text in ([text], [line for line in text.splitlines() if line.strip()]):
        try:
            for part in check_text:
                json.loads(part)
        except ValueError:
            continue
        return text
    raise InvalidInput(f"the filled template is not JSON: {text[:200]}")


def _quoted(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return json.dumps(value)[1:-1]
    # EventBridge drops the quotes of an object within text rather than escape them.
    return json.dumps(value).replace('\\"', "").replace('"', "")


def _steps(path: str) -> list[tuple[str, str]]:
    """(name, "") or ("", index) for each step."""
    if not path.startswith("$"):
        raise InvalidInput(f"Invalid path {path}: it must begin with $.")
    steps: list[tuple[str, str]] = []
    position = 1
    while position < len(path):
        match = STEP.match(path, position)
        if match is None:
            raise InvalidInput(f"Invalid path {path}: local AWS reads names, [index] and wildcards.")
        steps.append((match[1] or match[3] or "", match[2] or ""))
        position = match.end()
    return steps

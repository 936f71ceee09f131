"""The experiment store in DynamoDB: experiments, models, joins, and the moves of their state machines.

Every move writes the experiment's record and the record of the model or join in one transaction, under the
condition that the state is still the one from which the move starts. So two runs cannot both make it, and a
task that is tried again finds its move already made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mlops.bandit.workflows import FAILED, PENDING, WORKFLOWS, Workflow

if TYPE_CHECKING:
    from config import Settings

KEYS = {"experiments": "experiment_id", "models": "model_id", "joins": "join_job_id"}
CREATE_ONLY = "attribute_not_exists(experiment_id)"
CONFLICTS = 5  # times that a transaction may collide with another one before that is an error


class InvalidUsage(RuntimeError):
    """What was asked for contradicts the experiment's state; the message says which state and what to do."""


class UnknownRecord(LookupError):
    """There is no such experiment, model or join; the message names it."""


class Store:
    """The records of one environment's experiments.

    :param client: boto3's for DynamoDB
    :param clock: the present time, timezone-aware
    """

    def __init__(
        self, settings: Settings, client: Any, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._tables = {kind: settings.bandit_table(kind) for kind in ("experiments", "models", "joins")}
        self._client = client
        self._clock = clock

    def create(self, experiment: str, **attributes: Any) -> dict[str, Any]:
        """The experiment's record, made now or found: an experiment is resumed by its id."""
        record = {
            "experiment_id": experiment,
            "created_at": self._now(),
            **{workflow.metadata: {} for workflow in WORKFLOWS},
            **attributes,
        }
        try:
            self._client.put_item(
                TableName=self._tables["experiments"],
                Item=_item(record),
                ConditionExpression=CREATE_ONLY,
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return self.experiment(experiment)
        return record

    def experiment(self, experiment: str) -> dict[str, Any]:
        """Raises UnknownRecord."""
        found = self._get("experiments", {"experiment_id": experiment})
        if found is None:
            raise UnknownRecord(f"there is no experiment {experiment!r}: bandit_warm_start creates it")
        return found

    def model(self, experiment: str, model_id: str) -> dict[str, Any]:
        """Raises UnknownRecord."""
        return self._record("models", experiment, model_id)

    def join(self, experiment: str, join_id: str) -> dict[str, Any]:
        """Raises UnknownRecord."""
        return self._record("joins", experiment, join_id)

    def models(self, experiment: str) -> Iterator[dict[str, Any]]:
        """Every model of the experiment."""
        return self._query("models", "experiment_id = :e", {":e": experiment})

    def joins(self, experiment: str, since: str = "0") -> Iterator[dict[str, Any]]:
        """The experiment's joins since `since` (the beginning of a join id), newest first."""
        return self._query(
            "joins",
            "experiment_id = :e AND join_job_id >= :s",
            {":e": experiment, ":s": since},
        )

    def request(self, workflow: Workflow, experiment: str, thing: str, owner: str, **attributes: Any) -> str:
        """Let the workflow begin with a model or join; returns the state that it is in then.

        That is PENDING for what is new, and whatever has been reached for what an earlier try of the same
        owner had requested. `owner` is the DAG run. Raises InvalidUsage while the workflow works on
        something else, UnknownRecord without the experiment.
        """
        names = {"#m": workflow.metadata, "#s": workflow.state, "#n": workflow.next, "#f": workflow.field}
        values = {
            ":pending": PENDING,
            ":thing": thing,
            ":owner": owner,
            ":one": workflow.in_progress[0],
            ":two": workflow.in_progress[1],
        }
        free = "attribute_exists(experiment_id) AND NOT (#m.#s IN (:one, :two))"
        try:
            self._transact(
                self._update(
                    "experiments",
                    {"experiment_id": experiment},
                    "SET #m.#s = :pending, #m.#n = :thing, #m.#o = :owner",
                    f"{free} AND (attribute_not_exists(#m.#l) OR #m.#l <> :thing)",
                    {**names, "#o": "owner", "#l": workflow.last},
                    values,
                ),
                self._move(
                    workflow,
                    experiment,
                    thing,
                    PENDING,
                    owner,
                    "NOT (#f IN (:one, :two))",
                    values,
                    attributes,
                ),
            )
        except self._client.exceptions.TransactionCanceledException:
            return self._adopt(workflow, experiment, thing, owner)
        return PENDING

    def advance(self, workflow: Workflow, experiment: str, thing: str, state: str, **attributes: Any) -> None:
        """Move what the workflow works on to `state`; nothing happens when it is there already.

        Raises InvalidUsage when it is in a state from which there is no such move.
        """
        before = workflow.before(state)
        expected = {f":b{index}": name for index, name in enumerate(before)}
        allowed = ", ".join(expected)
        names = {"#m": workflow.metadata, "#s": workflow.state, "#n": workflow.next}
        change = "SET #m.#s = :state"
        values = {":state": state, ":thing": thing, **expected}
        if state == workflow.succeeded:
            change += ", #m.#l = :thing REMOVE #m.#n"
            names["#l"] = workflow.last
        try:
            self._transact(
                self._update(
                    "experiments",
                    {"experiment_id": experiment},
                    change,
                    f"#m.#n = :thing AND #m.#s IN ({allowed})",
                    names,
                    values,
                ),
                self._move(
                    workflow, experiment, thing, state, None, f"#f IN ({allowed})", expected, attributes
                ),
            )
        except self._client.exceptions.TransactionCanceledException:
            found = self._record(workflow.records, experiment, thing).get(workflow.field)
            if found != state:
                raise InvalidUsage(
                    f"experiment {experiment}: {workflow.name} of {thing} is {found}, it cannot become "
                    f"{state}; another run may have taken over"
                ) from None

    def note(self, kind: str, experiment: str, thing: str, **attributes: Any) -> None:
        """Set attributes of a model or join, whatever its state."""
        names = {f"#{index}": name for index, name in enumerate(attributes)}
        values = {f":{index}": value for index, value in enumerate(attributes.values())}
        self._client.update_item(
            TableName=self._tables[kind],
            Key=_item({"experiment_id": experiment, KEYS[kind]: thing}),
            UpdateExpression="SET " + ", ".join(f"#{i} = :{i}" for i in range(len(attributes))),
            ConditionExpression="attribute_exists(experiment_id)",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=_item(values),
        )

    def abandon(self, experiment: str, owner: str, is_over: Callable[[str], bool]) -> list[str]:
        """Fail what other runs left in progress and will not end; returns what that was, in words.

        `is_over` says whether a DAG run (an owner) has ended or is gone. What a living run works on stays.
        """
        left = []
        record = self.experiment(experiment)
        for workflow in WORKFLOWS:
            metadata = record[workflow.metadata]
            other = metadata.get("owner")
            if metadata.get(workflow.state) not in workflow.in_progress or other == owner:
                continue
            if is_over(other):
                thing = metadata[workflow.next]
                self.advance(workflow, experiment, thing, FAILED, reason=f"{other} ended without it")
                left.append(f"{workflow.name} of {thing}, left by {other}")
        return left

    def delete(self, experiment: str) -> int:
        """Delete every record of the experiment, its own last; returns their number."""
        things = [("models", item["model_id"]) for item in self.models(experiment)]
        things += [("joins", item["join_job_id"]) for item in self.joins(experiment)]
        for kind, thing in things:
            key = _item({"experiment_id": experiment, KEYS[kind]: thing})
            self._client.delete_item(TableName=self._tables[kind], Key=key)
        self._client.delete_item(
            TableName=self._tables["experiments"], Key=_item({"experiment_id": experiment})
        )
        return len(things) + 1

    def _adopt(self, workflow: Workflow, experiment: str, thing: str, owner: str) -> str:
        """The state of what this owner requested before. Raises InvalidUsage when it is somebody else's."""
        metadata = self.experiment(experiment)[workflow.metadata]
        if thing in (metadata.get(workflow.next), metadata.get(workflow.last)):
            return str(self._record(workflow.records, experiment, thing)[workflow.field])
        raise InvalidUsage(
            f"experiment {experiment}: {workflow.name} of {metadata.get(workflow.next)} is "
            f"{metadata.get(workflow.state)}, requested by {metadata.get('owner')}; {owner} has to wait: one "
            "at a time"
        )

    def _move(
        self,
        workflow: Workflow,
        experiment: str,
        thing: str,
        state: str,
        owner: str | None,
        condition: str,
        values: Mapping[str, Any],
        attributes: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The update of the model's or join's own record, with a line of its history."""
        line = {"workflow": workflow.name, "state": state, "at": self._now()}
        line |= {"by": owner} if owner else {}
        line |= {"reason": attributes["reason"]} if "reason" in attributes else {}
        sets = ["#f = :move", "history = list_append(if_not_exists(history, :none), :line)"]
        names = {"#f": workflow.field}
        changed = {":move": state, ":line": [line], ":none": []}
        for index, (name, value) in enumerate(attributes.items()):
            sets.append(f"#a{index} = :a{index}")
            names[f"#a{index}"], changed[f":a{index}"] = name, value
        used = {name: value for name, value in values.items() if name in condition}
        return self._update(
            workflow.records,
            {"experiment_id": experiment, KEYS[workflow.records]: thing},
            f"SET {', '.join(sets)}",
            condition,
            names,
            {**changed, **used},
        )

    def _update(
        self,
        kind: str,
        key: Mapping[str, Any],
        change: str,
        condition: str,
        names: Mapping[str, str],
        values: Mapping[str, Any],
    ) -> dict[str, Any]:
        text = f"{change} {condition}"
        return {
            "Update": {
                "TableName": self._tables[kind],
                "Key": _item(key),
                "UpdateExpression": change,
                "ConditionExpression": condition,
                # DynamoDB refuses names and values that an expression does not use.
                "ExpressionAttributeNames": {name: value for name, value in names.items() if name in text},
                "ExpressionAttributeValues": _item(
                    {name: value for name, value in values.items() if name in text}
                ),
            }
        }

    def _transact(self, *updates: dict[str, Any]) -> None:
        """All or none. A collision with another transaction is tried again, a failed condition is not."""
        for attempt in range(CONFLICTS + 1):
            try:
                self._client.transact_write_items(TransactItems=list(updates))
            except self._client.exceptions.TransactionCanceledException as error:
                reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", [])}
                if attempt == CONFLICTS or reasons - {"None", "TransactionConflict"}:
                    raise
                time.sleep(0.05 * 2**attempt)
            else:
                return

    def _record(self, kind: str, experiment: str, thing: str) -> dict[str, Any]:
        found = self._get(kind, {"experiment_id": experiment, KEYS[kind]: thing})
        if found is None:
            raise UnknownRecord(f"experiment {experiment} has no {kind.removesuffix('s')} {thing!r}")
        return found

    def _get(self, kind: str, key: Mapping[str, str]) -> dict[str, Any] | None:
        answer = self._client.get_item(TableName=self._tables[kind], Key=_item(key), ConsistentRead=True)
        return _plain(answer["Item"]) if "Item" in answer else None

    def _query(self, kind: str, condition: str, values: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._tables[kind],
            KeyConditionExpression=condition,
            ExpressionAttributeValues=_item(values),
            ScanIndexForward=False,
            ConsistentRead=True,
        )
        for page in pages:
            yield from map(_plain, page["Items"])

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds")


def _item(values: Mapping[str, Any]) -> dict[str, Any]:
    """As DynamoDB takes it; floats become decimals, which is all it knows."""
    from boto3.dynamodb.types import TypeSerializer

    serializer = TypeSerializer()
    return {name: serializer.serialize(_decimals(value)) for name, value in values.items()}


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON knows it: a decimal becomes an int where it is one, else a float."""
    from boto3.dynamodb.types import TypeDeserializer

    deserializer = TypeDeserializer()
    return {name: _numbers(deserializer.deserialize(value)) for name, value in item.items()}


def _decimals(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {name: _decimals(item) for name, item in value.items()}
    return [_decimals(item) for item in value] if isinstance(value, list | tuple) else value


def _numbers(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {name: _numbers(item) for name, item in value.items()}
    return [_numbers(item) for item in value] if isinstance(value, list) else value

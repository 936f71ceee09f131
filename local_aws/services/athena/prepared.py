"""Prepared statements: named SQL with `?`, of one workgroup; EXECUTE gives it its parameters."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local_aws.services.athena.errors import InvalidRequest, ResourceNotFound


@dataclass
class PreparedStatement:
    """Plain data: it is pickled with the backend."""

    name: str
    workgroup: str
    sql: str
    description: str
    modified: datetime

    def as_dict(self) -> dict[str, Any]:
        """As GetPreparedStatement answers it."""
        return {
            "StatementName": self.name,
            "QueryStatement": self.sql,
            "WorkGroupName": self.workgroup,
            "Description": self.description,
            "LastModifiedTime": self.modified.timestamp(),
        }


Statements = dict[tuple[str, str], PreparedStatement]  # (workgroup, name) ->


def get(known: Statements, workgroup: str, name: str) -> PreparedStatement:
    """Raises ResourceNotFound."""
    try:
        return known[workgroup, name]
    except KeyError:
        raise ResourceNotFound(f"PreparedStatement {name} was not found in workGroup {workgroup}") from None


def create(known: Statements, request: dict[str, Any], now: datetime) -> None:
    """CreatePreparedStatement. Raises InvalidRequest when there is one of that name."""
    key = request["WorkGroup"], request["StatementName"]
    if key in known:
        raise InvalidRequest(f"PreparedStatement {key[1]} already exists in WorkGroup {key[0]}")
    known[key] = PreparedStatement(
        key[1], key[0], request["QueryStatement"], request.get("Description", ""), now
    )


def update(known: Statements, request: dict[str, Any], now: datetime) -> None:
    """UpdatePreparedStatement."""
    found = get(known, request["WorkGroup"], request["StatementName"])
    found.sql, found.modified = request["QueryStatement"], now
    found.description = request.get("Description", found.description)

"""IAM: moto's records, and SimulatePrincipalPolicy, by which the SageMaker SDK checks a role to train with.

Nothing else here asks what a role may do. A statement with a Condition does not apply in a simulation; its
keys are named in MissingContextValues, as on AWS those that the caller gives no value for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import ValidationError
from moto.iam.responses import IamResponse

from local_aws import aws_errors, moto_hooks
from local_aws.context import Context

Statement = dict[str, Any]
NOT_SIMULATED = (
    *("PermissionsBoundaryPolicyInputList", "ResourcePolicy", "ResourceOwner", "CallerArn"),
    *("ContextEntries", "ResourceHandlingOption"),
)
EFFECTS = ("Allow", "Deny")
PRINCIPAL = re.compile(r"^arn:[^:]+:iam::\d{12}:(role|user)/(?:.*/)?([^/]+)$")


class Responses(IamResponse):
    def simulate_principal_policy(self) -> ActionResult:
        """Each action on each resource against the policies of a role or a user, page by page."""
        for name in NOT_SIMULATED:
            if self._get_param(name):
                raise _unsupported(name)
        documents = [
            document
            for holder in self._holders(self._get_param("PolicySourceArn"))
            for document in _documents(holder)
        ]
        documents += self._get_param("PolicyInputList", [])
        statements = [statement for document in documents for statement in statements_of(document)]
        resources = self._get_param("ResourceArns", ["*"])
        pairs = [(action, to) for action in self._get_param("ActionNames", []) for to in resources]
        marker, size = str(self._get_param("Marker") or 0), int(self._get_param("MaxItems") or 100)
        if not marker.isdecimal():
            raise ValidationError(f"Invalid Marker: {marker}")
        start = int(marker)
        more = start + size < len(pairs)
        return ActionResult(
            {
                "EvaluationResults": [evaluate(statements, *pair) for pair in pairs[start : start + size]],
                "IsTruncated": more,
                **({"Marker": str(start + size)} if more else {}),
            }
        )

    def _holders(self, arn: str) -> list[Any]:
        """Whose policies a principal has: its own, a user's groups' too."""
        found = PRINCIPAL.match(arn or "")
        if found is None:
            raise ValidationError(f"Invalid Entity Arn: {arn} does not name a role or a user.")
        kind, name = found.groups()
        if kind == "user":
            return [self.backend.get_user(name), *self.backend.get_groups_for_user(name)]
        role = self.backend.get_role(name)
        if role.permissions_boundary:
            raise _unsupported("a role with a permissions boundary")
        return [role]


def evaluate(statements: Iterable[Statement], action: str, resource: str) -> dict[str, Any]:
    """One EvaluationResult: a statement that denies outweighs all that allow, and no statement denies too."""
    effects: set[str] = set()
    missing: set[str] = set()
    for statement in statements:
        if not _applies(statement, "Action", action.lower(), str.lower):
            continue
        if not _applies(statement, "Resource", resource, str):
            continue
        if "Condition" in statement:
            missing.update(key for test in statement["Condition"].values() for key in test)
        else:
            effects.add(statement["Effect"])
    decision = "explicitDeny" if "Deny" in effects else "allowed" if "Allow" in effects else "implicitDeny"
    return {
        "EvalActionName": action,
        "EvalResourceName": resource,
        "EvalDecision": decision,
        "MissingContextValues": sorted(missing),
    }


def statements_of(document: str) -> list[Statement]:
    """The statements of a policy document. Raises InvalidInput for what is no document."""
    try:
        found = json.loads(document)["Statement"]
        statements = [found] if isinstance(found, dict) else list(found)
        for statement in statements:
            tests = statement.get("Condition", {}).values()
            if statement["Effect"] not in EFFECTS or not all(isinstance(test, dict) for test in tests):
                raise ValueError("Effect or Condition")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise aws_errors.AwsError("InvalidInput", f"not a policy document: {document[:80]}") from error
    return statements


def _applies(statement: Statement, member: str, value: str, fold: Any) -> bool:
    """Whether a statement's Action or NotAction, Resource or NotResource takes a value in."""
    if f"Not{member}" in statement:
        return not any(_like(fold(pattern), value) for pattern in _listed(statement[f"Not{member}"]))
    return any(_like(fold(pattern), value) for pattern in _listed(statement.get(member, [])))


def _like(pattern: str, value: str) -> bool:
    """IAM's wildcards: `*` is any text, `?` one character."""
    parts = re.split(r"([*?])", pattern)
    wanted = "".join({"*": ".*", "?": "."}.get(part) or re.escape(part) for part in parts)
    return re.fullmatch(wanted, value, re.DOTALL) is not None


def _listed(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _documents(holder: Any) -> Iterator[str]:
    """The policies of a role, user or group: its own, then the managed ones in their default versions."""
    yield from holder.policies.values()
    for policy in holder.managed_policies.values():
        yield from (version.document for version in policy.versions if version.is_default)


def _unsupported(what: str) -> aws_errors.AwsError:
    return aws_errors.unsupported("iam", "SimulatePrincipalPolicy", what)


def install(context: Context) -> None:  # noqa: ARG001  # the interface of every service
    moto_hooks.replace_responses("iam", Responses)

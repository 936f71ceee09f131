"""What the platform has made in SageMaker and pays for, found by its tags: for the reaper and the teardown.

Everything an environment makes carries the tags `project` and `environment`; `expires` (a date) is the one
that a person adds. Functions take the client, so that nothing here knows how it is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops.aws import is_missing

if TYPE_CHECKING:
    from config import Settings

# What there is to list and to delete: kind -> the word in SageMaker's operations.
KINDS = {"endpoint": "Endpoint", "endpoint-config": "EndpointConfig", "model": "Model"}
EXPIRES = "expires"


@dataclass(frozen=True)
class Thing:
    """One resource. kind: a key of KINDS. created: ISO 8601, UTC."""

    kind: str
    name: str
    created: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Finding:
    """A resource that could go, and why."""

    kind: str
    name: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def things(sagemaker: Any, settings: Settings) -> Iterator[Thing]:
    """Endpoints, endpoint configurations and models of this environment, in the order of deletion."""
    wanted = {"project": settings.project, "environment": settings.environment}
    for kind, word in KINDS.items():
        pages = sagemaker.get_paginator(f"list_{kind.replace('-', '_')}s").paginate()
        for page in pages:
            for item in page[f"{word}s"]:
                tags = _tags(sagemaker, item[f"{word}Arn"])
                if wanted.items() <= tags.items():
                    created = item["CreationTime"].astimezone(UTC).isoformat(timespec="seconds")
                    yield Thing(kind, item[f"{word}Name"], created, tags)


def in_use(sagemaker: Any, endpoints: list[str]) -> set[tuple[str, str]]:
    """(kind, name) of the configurations and models that endpoints serve with."""
    used = set()
    for name in endpoints:
        config = sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
        described = sagemaker.describe_endpoint_config(EndpointConfigName=config)
        used.add(("endpoint-config", config))
        used |= {("model", variant["ModelName"]) for variant in described["ProductionVariants"]}
    return used


def last_use(cloudwatch: Any, endpoint: str, now: datetime, hours: int) -> datetime | None:
    """The newest hour with an invocation among the last `hours`; None when there was none."""
    start = (now - timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)
    points = cloudwatch.get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName="Invocations",
        Dimensions=[
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": "AllTraffic"},
        ],
        StartTime=start,
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    used = [point["Timestamp"] for point in points if point["Sum"] > 0]
    return max(used) if used else None


def judge(thing: Thing, now: datetime, idle_hours: int, used: bool, last: datetime | None) -> str | None:
    """Why a thing could go; None when it should stay.

    used: whether an endpoint serves with it (of configurations and models). last: an endpoint's last use.
    A tag `expires` in the future keeps it whatever else; one in the past is reason enough.
    Raises ValueError for a tag `expires` that is no date.
    """
    if text := thing.tags.get(EXPIRES):
        try:
            expires = date.fromisoformat(text)
        except ValueError:
            raise ValueError(
                f"{thing.kind} {thing.name}: tag {EXPIRES}={text} is no date such as 2026-12-31"
            ) from None
        return f"expired on {expires}" if expires < now.date() else None
    age = now - datetime.fromisoformat(thing.created)
    if age < timedelta(hours=idle_hours):
        return None
    if thing.kind == "endpoint":
        return None if last is not None else f"not invoked for {idle_hours} hours"
    return None if used else "no endpoint uses it"


def remove(sagemaker: Any, kind: str, name: str) -> bool:
    """Delete one resource; False when it was gone. Waits for an endpoint, whose configuration goes next."""
    from botocore.exceptions import ClientError

    word = KINDS[kind]
    try:
        getattr(sagemaker, f"delete_{kind.replace('-', '_')}")(**{f"{word}Name": name})
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    if kind == "endpoint":
        sagemaker.get_waiter("endpoint_deleted").wait(
            EndpointName=name, WaiterConfig={"Delay": 5, "MaxAttempts": 360}
        )
    return True


def _tags(sagemaker: Any, arn: str) -> dict[str, str]:
    pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
    return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

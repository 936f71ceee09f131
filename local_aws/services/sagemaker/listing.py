"""Every List operation: filter, sort and cut into pages. What differs between them is data."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from . import errors
from .backend import NAME_KEYS, Record, Service

DEFAULT_PAGE = 10


@dataclass(frozen=True)
class Listing:
    """One List operation. The serializer takes from each record the members that a summary has.

    order: what AWS sorts by when the request does not say; the key is always CreationTime then.
    """

    kind: str
    result: str
    status: str | None = None
    order: str = "Descending"


LISTINGS = {
    "ListTrainingJobs": Listing("training-job", "TrainingJobSummaries", "TrainingJobStatus", "Ascending"),
    "ListProcessingJobs": Listing(
        "processing-job", "ProcessingJobSummaries", "ProcessingJobStatus", "Ascending"
    ),
    "ListTransformJobs": Listing("transform-job", "TransformJobSummaries", "TransformJobStatus"),
    "ListModels": Listing("model", "Models"),
    "ListEndpointConfigs": Listing("endpoint-config", "EndpointConfigs"),
    "ListEndpoints": Listing("endpoint", "Endpoints", "EndpointStatus"),
    "ListModelPackageGroups": Listing(
        "model-package-group", "ModelPackageGroupSummaryList", order="Ascending"
    ),
    "ListModelPackages": Listing("model-package", "ModelPackageSummaryList", order="Ascending"),
}


def operation(name: str) -> Callable[[Service, dict[str, Any]], dict[str, Any]]:
    listing = LISTINGS[name]
    return lambda service, request: list_records(service, listing, request)


def list_records(service: Service, listing: Listing, request: dict[str, Any]) -> dict[str, Any]:
    return cut(service.records(listing.kind).values(), listing, NAME_KEYS[listing.kind], request)


def cut(
    records: Iterable[Record], listing: Listing, name_key: str, request: dict[str, Any]
) -> dict[str, Any]:
    """One page of those records that the request asks for. name_key: the member with a record's name."""
    found = [record for record in records if _wanted(record, listing, name_key, request)]
    sort_by = request.get("SortBy", "CreationTime")
    keys: dict[str, Callable[[Record], Any]] = {
        "Name": lambda r: r.get(name_key, ""),
        "Status": lambda r: (r[listing.status] if listing.status else "", r["CreationTime"]),
        "CreationTime": lambda r: r["CreationTime"],
        "FinalObjectiveMetricValue": lambda r: r["FinalHyperParameterTuningJobObjectiveMetric"]["Value"],
        "ScheduledTime": lambda r: r["ScheduledTime"],
    }
    reverse = request.get("SortOrder", listing.order) == "Descending"
    # `sorted` keeps equal items in order; of two jobs made in one instant the later is the newer one.
    found = sorted(
        reversed(found) if reverse else found, key=keys.get(sort_by, keys["CreationTime"]), reverse=reverse
    )
    start = _start(request.get("NextToken"))
    end = start + (request.get("MaxResults") or DEFAULT_PAGE)
    answer: dict[str, Any] = {listing.result: found[start:end]}
    if end < len(found):
        answer["NextToken"] = base64.urlsafe_b64encode(str(end).encode()).decode()
    return answer


def _wanted(record: Record, listing: Listing, name_key: str, request: dict[str, Any]) -> bool:
    if request.get("NameContains", "").lower() not in record.get(name_key, "").lower():
        return False
    if request.get("StatusEquals") and listing.status and record[listing.status] != request["StatusEquals"]:
        return False
    for member in ("CreationTime", "LastModifiedTime", "ScheduledTime"):
        value = record.get(member)
        after, before = _utc(request.get(f"{member}After")), _utc(request.get(f"{member}Before"))
        if value is not None and ((after and value <= after) or (before and value >= before)):
            return False
    return listing.kind != "model-package" or _package_wanted(record, request)


def _package_wanted(record: Record, request: dict[str, Any]) -> bool:
    group = request.get("ModelPackageGroupName", "").rsplit("/", 1)[-1]
    if group and record.get("ModelPackageGroupName") != group:
        return False
    approval = request.get("ModelApprovalStatus")
    if approval and record.get("ModelApprovalStatus") != approval:
        return False
    # Without a group only packages that belong to none are listed, unless the request asks for the others.
    wanted = request.get("ModelPackageType", "Versioned" if group else "Unversioned")
    return wanted == "Both" or (wanted == "Versioned") == ("ModelPackageVersion" in record)


def _utc(value: datetime | None) -> datetime | None:
    """moto reads timestamps without a time zone; they are UTC."""
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _start(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error) as error:
        raise errors.validation("The NextToken is not one that this service gave out.") from error

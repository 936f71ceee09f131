"""What is kept of a crawler and of its crawls, and which definitions are taken."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local_aws.services.glue.crawl import globs
from local_aws.services.glue.errors import InvalidInput

LOG_GROUP = "/aws-glue/crawlers"
_TARGETS = ("S3Targets",)
_UPDATE = ("UPDATE_IN_DATABASE", "LOG")
_DELETE = ("DEPRECATE_IN_DATABASE", "DELETE_FROM_DATABASE", "LOG")


@dataclass
class Crawl:
    """One run of a crawler."""

    id: str
    started: datetime
    state: str = "RUNNING"
    ended: datetime | None = None
    error: str | None = None
    counts: dict[str, int] = field(default_factory=lambda: {"created": 0, "updated": 0, "deleted": 0})

    def as_dict(self, name: str) -> dict[str, Any]:
        """As ListCrawls answers it."""
        found = {
            "CrawlId": self.id,
            "State": self.state,
            "StartTime": self.started,
            "EndTime": self.ended,
            "ErrorMessage": self.error,
            "LogGroup": LOG_GROUP,
            "LogStream": name,
            "MessagePrefix": self.id,
            "DPUHour": 0.0,
        }
        return {key: value for key, value in found.items() if value is not None}


@dataclass
class Crawler:
    """Plain data: pickled with the backend. `definition`: the CreateCrawler request without Name and Tags."""

    name: str
    arn: str
    definition: dict[str, Any]
    created: datetime
    updated: datetime
    version: int = 1
    state: str = "READY"
    crawls: list[Crawl] = field(default_factory=list)

    def get_name(self) -> str:
        """The name; moto's ListCrawlers asks for it."""
        return self.name

    def as_dict(self) -> dict[str, Any]:
        """As GetCrawler answers it."""
        found = {
            "Classifiers": [],
            "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
            "SchemaChangePolicy": {
                "UpdateBehavior": "UPDATE_IN_DATABASE",
                "DeleteBehavior": "DEPRECATE_IN_DATABASE",
            },
            "LineageConfiguration": {"CrawlerLineageSettings": "DISABLE"},
            **self.definition,
            "Name": self.name,
            "State": self.state,
            "CrawlElapsedTime": 0,
            "CreationTime": self.created,
            "LastUpdated": self.updated,
            "Version": self.version,
        }
        ended = [crawl for crawl in self.crawls if crawl.ended]
        if ended:
            last = ended[-1]
            status = {"COMPLETED": "SUCCEEDED", "STOPPED": "CANCELLED", "FAILED": "FAILED"}[last.state]
            found["LastCrawl"] = {
                "Status": status,
                "LogGroup": LOG_GROUP,
                "LogStream": self.name,
                "MessagePrefix": last.id,
                "StartTime": last.started,
                **({"ErrorMessage": last.error} if last.error else {}),
            }
        return found

    def metrics(self, now: datetime) -> dict[str, Any]:
        """As GetCrawlerMetrics answers it."""
        times = [(crawl.ended - crawl.started).total_seconds() for crawl in self.crawls if crawl.ended]
        running = self.crawls[-1] if self.crawls and not self.crawls[-1].ended else None
        counts = self.crawls[-1].counts if self.crawls else Crawl("", now).counts
        return {
            "CrawlerName": self.name,
            "TimeLeftSeconds": 0.0,
            "StillEstimating": running is not None and not times,
            "LastRuntimeSeconds": times[-1] if times else 0.0,
            "MedianRuntimeSeconds": statistics.median(times) if times else 0.0,
            "TablesCreated": counts["created"],
            "TablesUpdated": counts["updated"],
            "TablesDeleted": counts["deleted"],
        }


def check(definition: Mapping[str, Any]) -> None:
    """Raises InvalidInput for what is wrong or not computed, naming it."""
    targets = definition.get("Targets") or {}
    others = sorted(key for key, value in targets.items() if value and key not in _TARGETS)
    if others:
        raise InvalidInput(f"Targets.{others[0]} is not supported by local AWS; it crawls S3Targets")
    if not targets.get("S3Targets"):
        raise InvalidInput("Crawler has no targets: Targets.S3Targets is empty")
    for target in targets["S3Targets"]:
        if not re.fullmatch(r"s3://[^/]+(/.*)?", target.get("Path", "")):
            raise InvalidInput(f"S3 target path {target.get('Path')!r} is not an s3:// path")
        for pattern in target.get("Exclusions") or ():
            try:
                globs.compiled(pattern)
            except ValueError as error:
                raise InvalidInput(str(error)) from None
    for name in ("Role", "DatabaseName"):
        if not definition.get(name):
            raise InvalidInput(f"{name} is required")
    for name in ("Schedule", "Classifiers"):
        if definition.get(name):
            raise InvalidInput(f"{name} of a crawler is not supported by local AWS")
    behaviour = (definition.get("RecrawlPolicy") or {}).get("RecrawlBehavior", "CRAWL_EVERYTHING")
    if behaviour != "CRAWL_EVERYTHING":
        raise InvalidInput(f"RecrawlBehavior {behaviour} is not supported by local AWS")
    policy = definition.get("SchemaChangePolicy") or {}
    for key, known in (("UpdateBehavior", _UPDATE), ("DeleteBehavior", _DELETE)):
        if policy.get(key, known[0]) not in known:
            raise InvalidInput(f"{key} {policy[key]!r} is not one of {', '.join(known)}")
    grouping(definition)


def grouping(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The Grouping of a crawler's Configuration. Raises InvalidInput for what is not computed."""
    try:
        given = json.loads(definition.get("Configuration") or "{}")
        extra = sorted(set(given) - {"Version", "Grouping", "CrawlerOutput"})
        found = dict(given.get("Grouping") or {})
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"Configuration is not a JSON object: {error}") from None
    extra += sorted(set(found) - {"TableLevelConfiguration", "TableGroupingPolicy"})
    if extra:
        raise InvalidInput(f"Configuration.{extra[0]} is not supported by local AWS")
    level = found.get("TableLevelConfiguration")
    if level is not None and (not isinstance(level, int) or level < 1):
        raise InvalidInput(f"TableLevelConfiguration {level!r} is not a whole number from 1 on")
    return found

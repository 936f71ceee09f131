"""Crawlers: their definitions, the life of a crawl, and what it changes in the catalog.

A crawl reads its targets' files in a process of its own (`crawl`); what that finds is put into the catalog
here, under the state lock, by the crawler's policies.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moto.glue.exceptions import (
    CrawlerAlreadyExistsException,
    CrawlerNotFoundException,
    CrawlerNotRunningException,
    CrawlerRunningException,
)
from moto.glue.models import glue_backends

from local_aws.context import Context
from local_aws.processes import Exit, Job, OnExit
from local_aws.services.glue import crawled_tables
from local_aws.services.glue.crawl import globs
from local_aws.services.glue.crawler_definitions import LOG_GROUP, Crawl, Crawler, check, grouping

if TYPE_CHECKING:
    from local_aws.services.glue.backend import GlueBackend

_PROJECT = Path(__file__).parents[3]
_MOST_SECONDS = 3600

_context: Context | None = None


def use(context: Context) -> None:
    """Set the local AWS that crawlers belong to."""
    global _context  # noqa: PLW0603 - moto makes the backends, so they cannot be handed a context
    _context = context


def now() -> datetime:
    """The current time of this local AWS."""
    return _get().clock()


def define(backend: GlueBackend, request: Mapping[str, Any]) -> None:
    """CreateCrawler. Raises CrawlerAlreadyExistsException, InvalidInput."""
    name = request["Name"]
    if name in backend.crawlers:
        raise CrawlerAlreadyExistsException
    definition = {key: value for key, value in request.items() if key not in ("Name", "Tags")}
    check(definition)
    moment = now()
    arn = f"arn:aws:glue:{backend.region_name}:{backend.account_id}:crawler/{name}"
    backend.crawlers[name] = Crawler(name, arn, definition, moment, moment)
    backend.tag_resource(arn, request.get("Tags"))


def redefine(backend: GlueBackend, request: Mapping[str, Any]) -> None:
    """UpdateCrawler: what is given replaces what was.

    Raises CrawlerNotFoundException, CrawlerRunningException, InvalidInput.
    """
    crawler = find(backend, request["Name"])
    if crawler.state != "READY":
        raise CrawlerRunningException(f"Crawler with name {crawler.name} is currently running")
    definition = {**crawler.definition, **{key: value for key, value in request.items() if key != "Name"}}
    check(definition)
    crawler.definition, crawler.updated = definition, _get().clock()
    crawler.version += 1


def find(backend: GlueBackend, name: str) -> Crawler:
    """Raises CrawlerNotFoundException."""
    try:
        return backend.crawlers[name]
    except KeyError:
        raise CrawlerNotFoundException(name) from None


def start(backend: GlueBackend, name: str) -> None:
    """StartCrawler; the API answers at once, with the crawler RUNNING."""
    crawler = find(backend, name)
    if crawler.state != "READY":
        raise CrawlerRunningException(f"Crawler with name {name} has already started")
    crawl = Crawl(str(uuid.uuid4()), _get().clock())
    crawler.crawls.append(crawl)
    crawler.state = "RUNNING"
    region = backend.region_name
    threading.Thread(
        target=_launch, args=(region, crawler, crawl), name=f"crawler/{name}", daemon=True
    ).start()


def stop(backend: GlueBackend, name: str) -> None:
    """StopCrawler: nothing of this crawl reaches the catalog."""
    crawler = find(backend, name)
    if crawler.state != "RUNNING":
        raise CrawlerNotRunningException(f"Crawler with name {name} isn't running")
    crawler.state = "STOPPING"
    _get().supervisor.stop(_job_id(crawler.crawls[-1]))


def remove(backend: GlueBackend, name: str) -> None:
    """DeleteCrawler; its tables stay."""
    if find(backend, name).state != "READY":
        raise CrawlerRunningException(f"Crawler with name {name} is currently running")
    del backend.crawlers[name]


def resume(context: Context) -> None:
    """Attach to crawls of an earlier server; those whose process is gone have failed."""
    for region, backend in glue_backends[context.account].items():
        for crawler in backend.crawlers.values():
            if crawler.state != "READY":
                crawl = crawler.crawls[-1]
                context.supervisor.attach(_job_id(crawl), _on_exit(region, crawler, crawl))


def _launch(region: str, crawler: Crawler, crawl: Crawl) -> None:
    context = _get()
    folder = _folder(context, crawl)
    try:
        folder.mkdir(parents=True)
        plan = {
            "targets": [_target(context, target) for target in crawler.definition["Targets"]["S3Targets"]],
            "table_level": grouping(crawler.definition).get("TableLevelConfiguration"),
        }
        (folder / "plan.json").write_text(json.dumps(plan))
    except Exception as error:  # noqa: BLE001 - the crawl ends with it, whatever it is
        _end(crawler, crawl, "FAILED", str(error))
        return
    arguments = [str(folder / "plan.json"), str(folder / "result.json")]
    job = Job(
        id=_job_id(crawl),
        argv=[sys.executable, "-m", "local_aws.services.glue.crawl", *arguments],
        env={"PYTHONPATH": str(_PROJECT)},
        cwd=folder,
        log_group=LOG_GROUP,
        log_stream=crawler.name,
        timeout_seconds=_MOST_SECONDS,
        grace_seconds=5,
    )
    with context.state.lock("glue"):
        stopped = crawler.state != "RUNNING"
        if not stopped:
            context.supervisor.start(job, _on_exit(region, crawler, crawl))
            context.state.commit("glue")
    if stopped:
        _end(crawler, crawl, "STOPPED", None)


def _target(context: Context, target: Mapping[str, Any]) -> dict[str, Any]:
    """The files of a target, without hidden and excluded ones. Raises ValueError when there is no bucket."""
    uri = target["Path"]
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not context.objects.exists_bucket(bucket):
        raise ValueError(f"The bucket of {uri} does not exist")
    return {"uri": uri, "files": list(_files(context, bucket, prefix, target.get("Exclusions") or []))}


def _files(context: Context, bucket: str, prefix: str, exclusions: list[str]) -> Iterator[dict[str, Any]]:
    folder = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
    excluded = [globs.compiled(pattern) for pattern in exclusions]
    for found in context.objects.list(bucket, prefix.rstrip("/")):
        if found.key != prefix and not found.key.startswith(folder):
            continue  # "data" is the folder data/, not data-2.csv
        relative = found.key.removeprefix(folder)
        hidden = any(part.startswith(("_", ".")) for part in relative.split("/"))
        if found.size and not hidden and not any(pattern.fullmatch(relative) for pattern in excluded):
            path = context.objects.path(bucket, found.key)
            yield {"key": found.key, "path": str(path), "size": found.size}


def _on_exit(region: str, crawler: Crawler, crawl: Crawl) -> OnExit:
    def ended(how: Exit) -> None:
        if crawler.state == "STOPPING":
            _end(crawler, crawl, "STOPPED", None)
        elif how.reason == "exited" and how.code == 0:
            _publish(region, crawler, crawl)
        elif how.reason == "lost":
            _end(
                crawler,
                crawl,
                "FAILED",
                "The crawl's process was lost while local AWS was not running",
            )
        elif how.reason == "stopped":
            _end(crawler, crawl, "FAILED", "local AWS was stopped while the crawl was running")
        elif how.reason == "timed_out":
            _end(crawler, crawl, "FAILED", f"The crawl took longer than {_MOST_SECONDS} s")
        else:
            _end(crawler, crawl, "FAILED", how.last_line or f"exit code {how.code}")

    return ended


def _publish(region: str, crawler: Crawler, crawl: Crawl) -> None:
    context = _get()
    tables = json.loads((_folder(context, crawl) / "result.json").read_text())["tables"]
    backend = glue_backends[context.account][region]
    with context.state.lock("glue"):
        try:
            crawl.counts = crawled_tables.put(backend, crawler.name, crawler.as_dict(), tables)
        except ValueError as error:
            failure: str | None = str(error)
        else:
            failure = None
    _end(crawler, crawl, "FAILED" if failure else "COMPLETED", failure)


def _end(crawler: Crawler, crawl: Crawl, state: str, error: str | None) -> None:
    context = _get()
    now = context.clock()
    verb = {"COMPLETED": "finished", "STOPPED": "stopped", "FAILED": f"failed: {error}"}[state]
    moment = int(now.timestamp() * 1000)
    context.logs.append(LOG_GROUP, crawler.name, [(moment, f"[{crawl.id}] Crawler {verb}; {crawl.counts}")])
    shutil.rmtree(_folder(context, crawl), ignore_errors=True)
    with context.state.lock("glue"):
        crawl.state, crawl.error, crawl.ended = state, error, now
        crawler.state = "READY"
        context.state.commit("glue")


def _job_id(crawl: Crawl) -> str:
    return f"crawl/{crawl.id}"


def _folder(context: Context, crawl: Crawl) -> Path:
    return context.data_dir / "glue" / "crawls" / crawl.id


def _get() -> Context:
    if _context is None:
        raise RuntimeError("local_aws.services.glue.install was not called")
    return _context

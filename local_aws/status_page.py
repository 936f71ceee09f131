"""The status report as one page: no script, nothing loaded from elsewhere; it asks for itself again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import Any

REFRESH_SECONDS = 5
# The browser's own guard beside escape(): whatever a job calls itself, nothing on the page is run or fetched.
HEADERS = (
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ("Cache-Control", "no-store"),
)
GOOD = ("InService", "succeeded")
BAD = ("Failed", "OutOfService", "UpdateRollbackFailed", "exited, ", "timed_out, ", "lost, ")
STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #fff; --card: #f6f7f9;
  --line: #dfe3e8; --bad: #b42318; --good: #157347 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b4; --paper: #14181f;
  --card: #1c222b; --line: #313a46; --bad: #ff8a7a; --good: #5fd39a } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 24px 20px 48px; max-width: 1200px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
h1 { font-size: 24px; margin: 0 }
h2 { font-size: 17px; margin: 0 0 8px }
p { margin: 0; color: var(--soft) }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px;
  margin-top: 16px }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums }
th { text-align: left; color: var(--soft); font-weight: 500 }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere }
tr:last-child td { border-bottom: 0 }
.number { text-align: right; white-space: nowrap }
.bad { color: var(--bad) }
.good { color: var(--good) }
@media (max-width: 700px) {
  body { padding: 16px 12px }
  thead { display: none }
  tr { display: block; padding: 6px 0; border-bottom: 1px solid var(--line) }
  tr:last-child { border-bottom: 0 }
  td { display: grid; grid-template-columns: 6.5em 1fr; padding: 1px 0; border: 0 }
  td.number { text-align: left; white-space: normal }
  td:empty { display: none }
  td::before { content: attr(data-name); color: var(--soft) }
}
"""


def page(report: dict[str, Any], region: str) -> str:
    """HTML of a report of `status`; `region` is the one this server was started with."""
    now, server = report["now"], report["server"]
    total = server["rss"] + sum(job["rss"] for job in report["jobs"])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="{REFRESH_SECONDS}"><link rel="icon" href="data:,">
<title>Local AWS</title><style>{STYLE}</style></head><body>
<header><h1>Local AWS {escape(report["version"])}</h1>
<p>{escape(region)}, up for {age(server["started"], now)}, state in {escape(report["data_dir"])}</p>
<p>server: process {server["pid"]}, {_megabytes(server["rss"])}, {server["seconds"]:.0f} s of processor;
with all that runs {_megabytes(total)}</p></header>
<section><h2>Runs now</h2>{_jobs(report)}</section>
<section><h2>Endpoints</h2>{_endpoints(report)}</section>
<section><h2>Ended since the start</h2>{_ended(report)}</section>
<section><h2>Services in use</h2><p>{escape(", ".join(report["services"]) or "none yet")}</p></section>
</body></html>
"""


def age(since: str, now: str) -> str:
    """ "1:02:03" or "4:05" between two times of a report."""
    passed = datetime.fromisoformat(now) - datetime.fromisoformat(since)
    seconds = max(0, int(passed.total_seconds()))
    minutes = f"{seconds // 60 % 60}:{seconds % 60:02d}"
    return minutes if seconds < 3600 else f"{seconds // 3600}:{minutes:0>5}"


def _jobs(report: dict[str, Any]) -> str:
    return _table(
        ("kind", "name", "for", "CPU", "memory", "process", "log group", "log stream"),
        (
            (
                *_kind_and_name(job["id"]),
                age(job["started"], report["now"]),
                f"{job['cpu']:.0f} %",
                _megabytes(job["rss"]),
                str(job["pid"]),
                job["log_group"],
                job["log_stream"],
            )
            for job in report["jobs"]
        ),
        numbers={"for", "CPU", "memory", "process"},
        nothing="Nothing runs.",
    )


def _endpoints(report: dict[str, Any]) -> str:
    return _table(
        ("name", "status", "config", "for", "region", "log group"),
        (
            (
                endpoint["name"],
                endpoint["status"],
                endpoint["config"],
                age(endpoint["since"], report["now"]),
                endpoint["region"],
                endpoint["log_group"],
            )
            for endpoint in report["endpoints"]
        ),
        numbers={"for"},
        nothing="There are none.",
    )


def _ended(report: dict[str, Any]) -> str:
    return _table(
        ("kind", "name", "ended", "how", "last line", "log group", "log stream"),
        (
            (
                *_kind_and_name(end["id"]),
                f"{age(end['ended'], report['now'])} ago",
                "succeeded" if end["code"] == 0 else f"{end['reason']}, code {end['code']}",
                "" if end["code"] == 0 else end["last_line"],
                end["log_group"],
                end["log_stream"],
            )
            for end in report["ended"]
        ),
        numbers={"ended"},
        nothing="Nothing yet.",
    )


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], numbers: set[str], nothing: str) -> str:
    def cell(name: str, text: str) -> str:
        kinds = ["number"] if name in numbers else []
        if name in ("status", "how") and (text in GOOD or text.startswith(BAD)):
            kinds.append("good" if text in GOOD else "bad")
        return f'<td class="{" ".join(kinds)}" data-name="{name}">{escape(text)}</td>'

    lines = [
        "<tr>" + "".join(cell(name, text) for name, text in zip(names, row, strict=True)) + "</tr>"
        for row in rows
    ]
    if not lines:
        return f"<p>{nothing}</p>"
    heads = "".join(f'<th class="{"number" if name in numbers else ""}">{name}</th>' for name in names)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _kind_and_name(job_id: str) -> tuple[str, str]:
    kind, _, name = job_id.partition("/")
    return (kind, name) if name else ("service", kind)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"

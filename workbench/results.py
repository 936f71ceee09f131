"""What the demo prints at its end: the model's figures, the gate's verdict, the endpoint's answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.markup import escape
from rich.table import Table

from config import load
from workbench import environments, provision
from workbench.airflow_api import AirflowApi
from workbench.progress import console, say
from workbench.settings import ROOT, Settings, WorkbenchError
from workbench.supervision import clean_environment

CUSTOMERS = 3


def print_results(
    settings: Settings, airflow: AirflowApi, dag_id: str, run_id: str, *, data: Path, existed: bool
) -> None:
    """Print what the run left in S3 and XCom, and ask the endpoint about customers of `data`.

    `existed`: the endpoint was there before the run.
    """
    prefix = airflow.xcom(dag_id, run_id, "prepare.plan", "prefix")
    if not prefix:
        raise WorkbenchError(f"{dag_id} {run_id} left no plan: see the run in Airflow's UI")
    bucket, key = _split(prefix)
    s3 = provision.client(settings, "s3")

    def read(name: str) -> bytes:
        return bytes(s3.get_object(Bucket=bucket, Key=f"{key}evaluation/{name}")["Body"].read())

    say()
    print_figures(json.loads(read("evaluation.json")))
    verdict = airflow.xcom(dag_id, run_id, "gate", "verdict") or {}
    approved = bool(verdict.get("approved"))
    print_verdict(verdict)
    endpoint = load("local").churn_endpoint
    fate = ("updated" if existed else "created") if approved else ("unchanged" if existed else "none yet")
    say(f"endpoint        {endpoint} ({fate})")
    if approved or existed:
        say(ask(settings, endpoint, data) or _ask_encoded(settings, endpoint, read("smoke_sample.csv")))
    # The signed link of the UI: the bucket is private.
    say(f"report page     {escape(airflow.links(dag_id, run_id, 'evaluate').get('Report', 'none'))}")


def print_verdict(verdict: Mapping[str, Any]) -> None:
    """The gate's decision with its reasons."""
    approved = "[green]challenger approved[/green]"
    head = approved if verdict.get("approved") else "[yellow]challenger refused[/yellow]"
    say(f"gate verdict    {head} (against the {verdict.get('against')})")
    for reason in verdict.get("reasons", []):
        say(f"                {escape(reason)}")
    for warning in verdict.get("warnings", []):
        say(f"                [yellow]{escape(warning)}[/yellow]")


def print_figures(evaluation: Mapping[str, Any]) -> None:
    """The hold-out's confusion matrix, AUC, accuracy and the minimum of the cost curve."""
    challenger, holdout = evaluation["challenger"], evaluation["holdout"]
    confusion, minimum = challenger["confusion"], challenger["cost_curve"]["minimum"]
    title = f"hold-out: {holdout['rows']} customers, {holdout['positives']} churned"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column(f"threshold {evaluation['threshold']}")
    table.add_column("predicted churn", justify="right")
    table.add_column("predicted stay", justify="right")
    table.add_row("churned", str(confusion["tp"]), str(confusion["fn"]))
    table.add_row("stayed", str(confusion["fp"]), str(confusion["tn"]))
    console.print(table)
    interval = challenger.get("auc_interval")
    spread = f" [{interval['low']:.3f}, {interval['high']:.3f}]" if interval else ""
    say(f"hold-out AUC {challenger['auc']:.3f}{escape(spread)}")
    say(f"accuracy        {challenger['accuracy']:.3f}")
    say(f"cost minimum    ${minimum['cost']:,.0f} at threshold {minimum['threshold']:.2f}")


def ask(settings: Settings, endpoint: str, data: Path) -> str:
    """The answers for the file's first customers, by the client program; "" for a file without header."""
    options = {"endpoint": endpoint, "customers": data, "rows": CUSTOMERS}
    try:
        return "\n" + run_client(settings, "clients.ask_endpoint", **options)
    except WorkbenchError as error:
        if "have no column" in str(error):
            return ""
        raise


def _ask_encoded(settings: Settings, endpoint: str, sample: bytes) -> str:
    """The same for rows of the hold-out, which are encoded already: one call each."""
    runtime = provision.client(settings, "sagemaker-runtime")
    lines = []
    for number, line in enumerate(sample.decode().splitlines()[:CUSTOMERS], start=1):
        features = line.split(",", 1)[1]  # the first column is the batch's score
        answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=features)
        lines.append(f"hold-out row {number}  churn probability {float(answer['Body'].read()):.3f}")
    return "\n".join(lines)


def run_client(settings: Settings, module: str, *words: str, **options: object) -> str:
    """Run a program of `clients/` in the jobs' environment; returns what it prints."""
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    arguments = [*words, *given]
    done = subprocess.run(
        [str(environments.require("jobs")), "-m", module, *arguments],
        check=False,
        cwd=ROOT,
        env={**clean_environment(), **settings.aws_environment()},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise WorkbenchError(f"{module} failed:\n{(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout.rstrip()


def _split(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")

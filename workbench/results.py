"""What the demo prints at its end: the model's figures, the gate's verdict, the endpoint's answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from rich.markup import escape
from rich.table import Table

from config import load
from workbench import provision
from workbench.airflow_api import AirflowApi
from workbench.progress import console, say
from workbench.settings import Settings, WorkbenchError

REPORT_LINK_SECONDS = 7 * 24 * 3600
CUSTOMERS = 3


def print_results(
    settings: Settings, airflow: AirflowApi, dag_id: str, run_id: str, *, existed: bool
) -> None:
    """Print what the run left in S3 and XCom, and ask the endpoint. `existed`: there before the run."""
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
        _ask(settings, endpoint, read("smoke_sample.csv").decode())
    report = {"Bucket": bucket, "Key": f"{key}evaluation/report.html", "ResponseContentType": "text/html"}
    link = s3.generate_presigned_url("get_object", Params=report, ExpiresIn=REPORT_LINK_SECONDS)
    say(f"report page     {link}")


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


def _ask(settings: Settings, endpoint: str, sample: str) -> None:
    """Ask the endpoint for customers of the hold-out, one call each, as any stock boto3 client would."""
    runtime = provision.client(settings, "sagemaker-runtime")
    for number, line in enumerate(sample.splitlines()[:CUSTOMERS], start=1):
        features = line.split(",", 1)[1]  # the first column is the batch's score
        answer = runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=features)
        probability = float(answer["Body"].read())
        say(f"customer {number}      churn probability {probability:.4f}")


def _split(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")

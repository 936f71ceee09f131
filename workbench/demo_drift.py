"""`make demo-drift`: the world changes, an alarm asks for a new model, one is deployed, the alarm ends.

Nobody presses anything: after the first model and its traffic, everything is done by the DAG `monitoring`, by
alarms, EventBridge, the function `trigger_dag` and `churn_training`. A broken column is the exception that is
shown with DRIFT=broken_column: it rings another alarm, and no model is trained on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx

from config import load
from workbench import provision, stack
from workbench.airflow_api import AirflowApi
from workbench.demo import DAG as TRAINING
from workbench.demo import generate, put_raw
from workbench.progress import say, step
from workbench.results import print_verdict, run_client
from workbench.settings import Settings, WorkbenchError
from workbench.watch import explain_failure, watch

MONITORING, TEARDOWN = "monitoring", "teardown"
KINDS = ("changed_concept", "shifted_feature", "new_category", "broken_column")
BROKEN = "broken_column"
EXPORT_SEED, CALLERS_SEED = 8, 9
EXPORT_ROWS, CALLERS_ROWS = 5000, 6000
WINDOWS = 3
WAIT_SECONDS = 240.0
T = TypeVar("T")


@dataclass
class World:
    """Customers who ask the endpoint, each once, and the files they come from."""

    before: Path
    """Of the world as the first model knew it."""
    after: Path
    """The same customers after the drift."""
    export: Path
    """Other customers after the drift, with labels: what a team would export for training."""
    asked: int = 0


@dataclass(frozen=True)
class Demo:
    """The running stack and how this demo uses it."""

    settings: Settings
    airflow: AirflowApi
    code_version: str
    rows: int

    def first_model(self, data: str) -> str:
        """A model of the world before the drift, deployed; returns its run id.

        An earlier demo may have left a champion that a model of this world need not beat, and whose own world
        is another one: it is taken down then.
        """
        run_id = self.train(data)
        if not self.verdict(run_id).get("approved"):
            endpoint = load("local").churn_endpoint
            say(f"\nthe champion of an earlier run knows another world: {endpoint} is made anew")
            self.finish(TEARDOWN, self.airflow.trigger(TEARDOWN, {"confirm": endpoint}))
            run_id = self.train(data)
        return run_id

    def train(self, data: str) -> str:
        """Returns the run id of an ended training."""
        conf = {"data": data, "code_version": self.code_version, "reason": "make demo-drift: the first model"}
        run_id = self.airflow.trigger(TRAINING, conf)
        self.finish(TRAINING, run_id)
        return run_id

    def verdict(self, run_id: str) -> dict[str, Any]:
        """What the gate of a training said."""
        return dict(self.airflow.xcom(TRAINING, run_id, "gate", "verdict") or {})

    def judge(self, world: World, customers: Path) -> str:
        """Let customers ask the endpoint, deliver their labels, analyse that window; returns the run id."""
        local, folder = load("local"), world.before.parent
        ledger = folder / f"asked-{world.asked}.jsonl"
        ledger.unlink(missing_ok=True)
        start = datetime.now(UTC).replace(microsecond=0)
        with step(f"{self.rows} customers ask {local.churn_endpoint}, and their labels come in"):
            run_client(
                self.settings, "clients.traffic",
                endpoint=local.churn_endpoint, customers=customers, first=world.asked, rows=self.rows,
                ledger=ledger,
            )  # fmt: skip
            destination = local.s3(local.ground_truth_prefix(local.churn_endpoint))
            run_client(self.settings, "clients.labels", ledger=ledger, destination=destination, repeated=0.02)
            # Captures reach S3 after a minute by themselves.
            httpx.post(f"{self.settings.runtime_url}/-/flush", timeout=30, trust_env=False).raise_for_status()
        world.asked += self.rows
        end = datetime.fromtimestamp(int(time.time()) + 1, UTC)
        window = {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
        run_id = self.airflow.trigger(MONITORING, {**window, "code_version": self.code_version})
        self.finish(MONITORING, run_id)
        return run_id

    def finish(self, dag_id: str, run_id: str) -> None:
        """Watch a run to its end. Raises WorkbenchError when it fails."""
        say(f"\n{dag_id}: {self.settings.airflow_url}/dags/{dag_id}/runs/{run_id}")
        if watch(self.airflow, dag_id, run_id) != "success":
            explain_failure(self.airflow, dag_id, run_id)
            raise WorkbenchError(f"{dag_id} {run_id} failed")

    def findings(self, run_id: str) -> dict[str, Any]:
        """What `summarise` says: `drift` by monitor, `broken_data`, `no_data`, `records`."""
        return dict(self.airflow.xcom(MONITORING, run_id, "summarise") or {})

    def alarm(self, name: str) -> str:
        """The state of an alarm, single or composite."""
        found = provision.client(self.settings, "cloudwatch").describe_alarms(
            AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        alarms = found["MetricAlarms"] + found.get("CompositeAlarms", [])
        if not alarms:
            raise WorkbenchError(f"there is no alarm {name}: is infrastructure/monitoring.yaml deployed?")
        return str(alarms[0]["StateValue"])

    def retraining(self, since: datetime) -> str:
        """The run of churn_training that an alarm asked for since then, or ""."""
        for run in self.airflow.runs(TRAINING, limit=5):
            asked = str((run.get("conf") or {}).get("reason") or "")
            if asked.startswith("alarm ") and datetime.fromisoformat(run["queued_at"]) >= since:
                return str(run["dag_run_id"])
        return ""


def run(settings: Settings, *, kind: str, size: float | None, rows: int) -> int:
    """The whole demo; returns the exit code. Raises WorkbenchError, before anything starts, for windows that
    are too small to tell drift from chance."""
    local = load("local")
    if rows < (least := local.monitoring.expected_window_rows):
        raise WorkbenchError(f"ROWS={rows}: a window of fewer than {least} customers says little; take more")
    started = time.monotonic()
    stack.up(settings)
    demo = Demo(settings, AirflowApi(settings), provision.upload_code(settings), rows)
    world = make_world(settings, kind, size, rows)

    say("\n[bold]1  a model, and the world it knows[/bold]")
    first = demo.first_model(put_raw(settings, generate(settings)))
    quiet = demo.judge(world, world.before)
    show(demo, quiet)
    if any(demo.findings(quiet)["drift"].values()):
        raise WorkbenchError(
            "customers as the model knows them were taken for drift, as one window in a hundred is: try again"
        )
    wait(f"{local.drift_alarm} rests", lambda: demo.alarm(local.drift_alarm) != "ALARM")

    say(f"\n[bold]2  the world changes: {kind}[/bold]")
    put_raw(settings, world.export)
    since = datetime.now(UTC)
    drifted = demo.judge(world, world.after)
    show(demo, drifted)
    if kind == BROKEN:
        return broken(demo, drifted, since, started)
    wait(f"alarm {local.drift_alarm} rings", lambda: demo.alarm(local.drift_alarm) == "ALARM")
    run_id = wait("the alarm starts churn_training", lambda: demo.retraining(since))

    say("\n[bold]3  a model of the changed world[/bold]")
    demo.finish(TRAINING, run_id)
    verdict = demo.verdict(run_id)
    print_verdict(verdict)
    if not verdict.get("approved"):
        raise WorkbenchError("the challenger was refused, so the drift goes on and the alarm keeps ringing")
    again = demo.judge(world, world.after)
    show(demo, again)
    wait(f"alarm {local.drift_alarm} ends", lambda: demo.alarm(local.drift_alarm) == "OK")

    say("\n[bold]what happened[/bold]")
    say(f"drift found     {told(demo.findings(drifted)['drift'])}")
    say(f"alarm           {local.drift_alarm} rang, started one retraining, and ended")
    say(f"retraining      {run_id}")
    say(f"champion        {champion(demo, first)} before, {champion(demo, run_id)} now")
    return end(demo, again, started)


def broken(demo: Demo, run_id: str, since: datetime, started: float) -> int:
    """The end of the demo for records that are broken: nothing is trained on them."""
    local = load("local")
    wait(f"alarm {local.broken_data_alarm} rings", lambda: demo.alarm(local.broken_data_alarm) == "ALARM")
    if asked := demo.retraining(since):
        raise WorkbenchError(f"a retraining was started on broken records: {asked}")
    say("\n[bold]what happened[/bold]")
    say(f"broken data     {demo.findings(run_id)['broken_data']} violations")
    say(f"alarm           {local.broken_data_alarm} rings until a window is whole again")
    say("retraining      none: a model would only learn the fault")
    return end(demo, run_id, started)


def end(demo: Demo, run_id: str, started: float) -> int:
    say(f"report page     {demo.airflow.xcom(MONITORING, run_id, 'summarise', 'page')}")
    say(stack.describe_login(demo.settings))
    say(f"[dim]make demo-drift: {time.monotonic() - started:.1f} s[/dim]")
    return 0


def make_world(settings: Settings, kind: str, size: float | None, rows: int) -> World:
    """The customers' files: the same every time. rows: customers in a window, each of whom asks once."""
    folder = settings.local_dir / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder / "callers.csv", folder / f"callers-{kind}.csv", folder / f"export-{kind}.csv")
    plain = folder / "export.csv"
    sizes = {} if size is None else {"size": size}
    with step(f"generated customers before and after {kind}"):
        run_client(
            settings,
            "clients.churn_customers",
            rows=max(CALLERS_ROWS, WINDOWS * rows),
            seed=CALLERS_SEED,
            output=world.before,
        )
        run_client(settings, "clients.churn_customers", rows=EXPORT_ROWS, seed=EXPORT_SEED, output=plain)
        for source, output in ((world.before, world.after), (plain, world.export)):
            run_client(settings, "clients.drift", kind=kind, input=source, output=output, **sizes)
    return world


def show(demo: Demo, run_id: str) -> None:
    """What a window's analyses found."""
    found = demo.findings(run_id)
    records = found.get("records", {})
    say(f"drift           {told(found['drift'])}")
    say(f"broken data     {found['broken_data']} violations")
    say(f"labels          {records.get('matched', 0)} matched, {records.get('waiting', 0)} awaited")


def told(drift: dict[str, int]) -> str:
    found = {name.replace("_", " "): count for name, count in drift.items() if count}
    return ", ".join(f"{name} ({count})" for name, count in found.items()) or "none"


def champion(demo: Demo, run_id: str) -> str:
    """The model package that a run deployed, by its group and version."""
    package = demo.airflow.xcom(TRAINING, run_id, "release.register", "model_package") or "none"
    return str(package).rsplit(":model-package/", 1)[-1]


def wait(what: str, look: Callable[[], T], seconds: float = WAIT_SECONDS) -> T:
    """What `look` returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    with step(what):
        while not (found := look()):
            if time.monotonic() > deadline:
                raise WorkbenchError(f"waited {seconds:.0f} s in vain: {what}")
            time.sleep(0.5)
    return found

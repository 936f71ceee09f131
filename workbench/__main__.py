"""`python -m workbench up|down|status|logs|demo|trigger|clean`: what the Makefile calls."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from workbench import demo, demo_bandit, demo_drift, observe, redrive, stack
from workbench.airflow_api import AirflowApi
from workbench.environments import EnvironmentProblem
from workbench.progress import console, say
from workbench.settings import Settings, WorkbenchError, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. What a person can put right is one message, no traceback."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options, load())
    except (WorkbenchError, EnvironmentProblem) as error:
        console.print("error:", style="bold red", end=" ")
        console.print(str(error), markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        say("\nstopped by you")
        return 130


def _run(options: argparse.Namespace, settings: Settings) -> int:
    match options.command:
        case "up":
            stack.up(settings)
            say(stack.describe_login(settings))
        case "down":
            stack.down(settings)
        case "status":
            return observe.status(settings)
        case "logs":
            observe.logs(settings, options.name)
        case "clean":
            stack.clean(settings, force=options.force)
        case "trigger":
            stack.require_running(settings)
            run_id = AirflowApi(settings).trigger(options.dag, _conf(options.conf))
            say(f"started {options.dag} {run_id}: {settings.airflow_url}/dags/{options.dag}/runs/{run_id}")
        case "redrive":
            redrive.run(options.env, only_list=options.list)
        case "demo":
            return demo.run(settings, data=options.data, split=options.split)
        case "demo-bandit":
            game = demo_bandit.game(options.data, options.world, options.seed, options.batches)
            return demo_bandit.run(settings, game)
        case "demo-drift":
            return demo_drift.run(settings, kind=options.drift, size=options.size, rows=options.rows)
    return 0


def _conf(text: str) -> dict[str, object]:
    try:
        conf = json.loads(text)
    except ValueError as error:
        raise WorkbenchError(f"CONF is not JSON: {error}: {text}") from error
    if not isinstance(conf, dict):
        raise WorkbenchError(f"CONF must be a JSON object such as '{{\"seed\": 1}}', not {text}")
    return conf


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="workbench", description="The local stack and the demo.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start local AWS and Airflow")
    commands.add_parser("down", help="stop both")
    commands.add_parser("status", help="processes, endpoints, last runs")
    logs = commands.add_parser("logs", help="follow the logs")
    logs.add_argument("name", nargs="?", help="one process; default: all")
    clean = commands.add_parser("clean", help="delete the local stack's data")
    clean.add_argument("--force", action="store_true", help="do not ask")
    trigger = commands.add_parser("trigger", help="start a DAG run")
    trigger.add_argument("--dag", default="churn_training")
    trigger.add_argument("--conf", default="{}", help="the run's params, a JSON object")
    again = commands.add_parser("redrive", help="deliver again what could not become a run")
    again.add_argument("--env", default="local", help="the environment")
    again.add_argument("--list", action="store_true", help="only show what waits, with its reason")
    example = commands.add_parser("demo", help="the churn pipeline from raw data to a served prediction")
    example.add_argument(
        "--data", type=Path, help="your customers (.csv, .csv.gz, .txt); default: 5,000 made up"
    )
    example.add_argument("--split", choices=["hash", "reference"], default="hash")
    bandit = commands.add_parser("demo-bandit", help="a bandit from its first log to its last batch")
    bandit.add_argument("--data", type=Path, help="a table of numbers, the label last; default: made up")
    bandit.add_argument("--world", choices=["table", "news"], default="table")
    bandit.add_argument("--seed", type=int, default=0)
    bandit.add_argument("--batches", type=int, default=15)
    drift = commands.add_parser("demo-drift", help="drift, alarm, retraining, a new model, the alarm's end")
    drift.add_argument("--drift", choices=demo_drift.KINDS, default=demo_drift.KINDS[0])
    drift.add_argument("--size", type=float, help="default: the kind's own, see clients/drift.py")
    drift.add_argument("--rows", type=int, default=600, help="customers in a window")
    return parser


if __name__ == "__main__":
    sys.exit(main())

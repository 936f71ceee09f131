"""Experiments: moto keeps experiments, trials and components; jobs that name a trial are tracked in it.

As on AWS, a job with an ExperimentConfig becomes a trial component of its own, `<job>-aws-<kind>`, with the
job's hyperparameters, and with its end.
"""

from __future__ import annotations

from typing import Any

from . import errors
from .backend import Record, Service


def check(service: Service, request: dict[str, Any]) -> None:
    """Refuse a trial or an experiment that does not exist."""
    config = request.get("ExperimentConfig") or {}
    errors.refuse(config, "RunName")
    for member, known, noun in (
        ("ExperimentName", service.backend.experiments, "experiment"),
        ("TrialName", service.backend.trials, "experiment-trial"),
    ):
        if config.get(member) and config[member] not in known:
            raise errors.not_found(f"Could not find {noun} '{service.arn(noun, config[member])}'.")


def begin(service: Service, kind: str, name: str, record: Record) -> None:
    """Note a new job in its trial. kind: as in the job's ARN."""
    config = record.get("ExperimentConfig") or {}
    if not config.get("TrialName"):
        return
    component = f"{name}-aws-{kind}"
    service.backend.create_trial_component(
        trial_component_name=component,
        trial_name=config["TrialName"],
        status={"PrimaryStatus": "InProgress", "Message": "The job is running."},
        start_time=service.now(),
        end_time=None,
        display_name=config.get("TrialComponentDisplayName"),
        parameters=_parameters(record.get("HyperParameters") or {}),
        input_artifacts=None,
        output_artifacts=None,
        metadata_properties=None,
    )
    service.backend.associate_trial_component(config["TrialName"], component)
    words = kind.replace("-", " ").title().replace(" ", "")
    source = {"SourceArn": record["_arn"], "SourceType": f"SageMaker{words}"}
    tracked: Any = service.backend.trial_components[component]
    tracked.source, tracked.sources = source, [source]


def end(service: Service, kind: str, name: str, status: str, reason: str | None) -> None:
    """Note the end of a job that is tracked."""
    component = service.backend.trial_components.get(f"{name}-aws-{kind}")
    if component is not None:
        component.status = {"PrimaryStatus": status, "Message": reason or "The job ended."}
        component.end_time = component.last_modified_time = service.now()


def _parameters(hyperparameters: dict[str, str]) -> dict[str, dict[str, str | float]]:
    """What reads as a number is one, as AWS shows it."""
    found: dict[str, dict[str, str | float]] = {}
    for name, text in hyperparameters.items():
        try:
            found[name] = {"NumberValue": float(text)}
        except ValueError:
            found[name] = {"StringValue": text}
    return found

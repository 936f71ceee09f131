"""The operations of hyperparameter tuning jobs."""

from __future__ import annotations

import copy
import zlib
from typing import Any

from local_aws.services.sagemaker import errors, listing, metrics, training
from local_aws.services.sagemaker.backend import Record, Service

from . import driver, search, trials

KIND = driver.KIND
LONGEST_SEARCH = 750  # training jobs, AWS's own limit for Bayesian search
TRAINING_SUMMARIES = listing.Listing(
    "training-job", "TrainingJobSummaries", "TrainingJobStatus", order="Ascending"
)


def create(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    errors.refuse(request, "TrainingJobDefinitions", "Autotune")
    name, config = request["HyperParameterTuningJobName"], request.get("HyperParameterTuningJobConfig") or {}
    if service.find(KIND, name):
        raise errors.in_use(f"Hyperparameter tuning job {service.arn(KIND, name)} already exists.")
    definition = request.get("TrainingJobDefinition")
    if not definition:
        raise errors.validation("A tuning job needs a TrainingJobDefinition.")
    errors.refuse(
        definition,
        "DefinitionName",
        "TuningObjective",
        "HyperParameterRanges",
    )
    resources = definition.get("HyperParameterTuningResourceConfig") or {}
    errors.refuse(resources, "InstanceConfigs", "AllocationStrategy")
    errors.refuse(config.get("ParameterRanges") or {}, "AutoParameters")
    errors.refuse(config.get("TuningJobCompletionCriteria") or {}, "ConvergenceDetected")
    if config["Strategy"] == "Hyperband":
        raise errors.unsupported("Strategy Hyperband (Bayesian, Random and Grid are computed)")
    aim = config.get("HyperParameterTuningJobObjective")
    if not aim:
        raise errors.validation("A tuning job needs a HyperParameterTuningJobObjective.")
    record: Record = copy.deepcopy({key: value for key, value in request.items() if key != "Tags"})
    record.update(
        HyperParameterTuningJobArn=service.arn(KIND, name),
        HyperParameterTuningJobStatus="InProgress",
        CreationTime=service.now(),
        LastModifiedTime=service.now(),
        _children=[],
        _objective=dict(aim),
        _seed=config.get("RandomSeed", zlib.crc32(name.encode())),
        _most=_most(config),
    )
    _check_warm_start(service, record)
    _check_training(service, record)
    service.add(KIND, name, record, request.get("Tags"))
    driver.start(service, record)
    return {"HyperParameterTuningJobArn": record["HyperParameterTuningJobArn"]}


def describe(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    record = get(service, request["HyperParameterTuningJobName"])
    children = trials.children(service, record)
    answer = {**record, **trials.counters(children, record)}
    answer["ConsumedResources"] = {
        "RuntimeInSeconds": sum(child.get("TrainingTimeInSeconds", 0) for child in children)
    }
    best = trials.best(children, record["_objective"])
    if best:
        answer["BestTrainingJob"] = trials.summary(best, record)
    parents = trials.parents(service, record)
    if parents:
        everything = [job for each in (*parents, record) for job in trials.children(service, each)]
        overall = trials.best(everything, record["_objective"])
        if overall:
            summary = trials.summary(overall, record)
            summary["TuningJobName"] = overall["TuningJobArn"].rsplit("/", 1)[-1]
            answer["OverallBestTrainingJob"] = summary
    return answer


def stop(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    """Its training jobs are stopped by the driver, which then ends it."""
    record = get(service, request["HyperParameterTuningJobName"])
    if record["HyperParameterTuningJobStatus"] == "InProgress":
        record["HyperParameterTuningJobStatus"] = "Stopping"
        record["LastModifiedTime"] = service.now()
    return {}


def delete(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    """Its training jobs stay. No error for one that is not there, as AWS."""
    name = request["HyperParameterTuningJobName"]
    record = service.find(KIND, name)
    if record and record["HyperParameterTuningJobStatus"] in ("InProgress", "Stopping"):
        raise errors.in_use(
            f"Hyperparameter tuning job {record['HyperParameterTuningJobArn']} is in progress."
        )
    service.records(KIND).pop(name, None)
    return {}


def list_jobs(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    kind = listing.Listing(KIND, "HyperParameterTuningJobSummaries", "HyperParameterTuningJobStatus")
    answer = listing.list_records(service, kind, request)
    answer[kind.result] = [
        {
            **record,
            **trials.counters(trials.children(service, record), record),
            "Strategy": record["HyperParameterTuningJobConfig"]["Strategy"],
            "ResourceLimits": record["HyperParameterTuningJobConfig"]["ResourceLimits"],
        }
        for record in answer[kind.result]
    ]
    return answer


def list_training_jobs(service: Service, request: dict[str, Any]) -> dict[str, Any]:
    record = get(service, request["HyperParameterTuningJobName"])
    summaries = [trials.summary(child, record) for child in trials.children(service, record)]
    if request.get("SortBy") == "FinalObjectiveMetricValue":  # the others have no value to sort by
        summaries = [each for each in summaries if "FinalHyperParameterTuningJobObjectiveMetric" in each]
    return listing.cut(summaries, TRAINING_SUMMARIES, "TrainingJobName", request)


def get(service: Service, name: str) -> Record:
    record = service.find(KIND, name)
    if record is None:
        raise errors.not_found(
            f"Amazon SageMaker can't find a tuning job with the name {name}: {service.arn(KIND, name)}."
        )
    return record


def _most(config: dict[str, Any]) -> int:
    """How many training jobs at most. Raises ValidationException for ranges that cannot be searched."""
    limits = config["ResourceLimits"]
    most = limits.get("MaxNumberOfTrainingJobs")
    try:
        space = search.space(config.get("ParameterRanges") or {})
        if config["Strategy"] == "Grid":
            size = search.grid_size(space)
            if most is not None and most != size:
                raise errors.validation(
                    f"MaxNumberOfTrainingJobs is {most}, but the grid has {size} combinations: leave it out."
                )
            most = size
    except search.BadRange as error:
        raise errors.validation(str(error)) from error
    if most is None and not limits.get("MaxRuntimeInSeconds"):
        raise errors.validation("ResourceLimits needs MaxNumberOfTrainingJobs or MaxRuntimeInSeconds.")
    return min(most or LONGEST_SEARCH, LONGEST_SEARCH)


def _check_warm_start(service: Service, record: Record) -> None:
    for each in (record.get("WarmStartConfig") or {}).get("ParentHyperParameterTuningJobs", ()):
        parent = get(service, each["HyperParameterTuningJobName"])
        if parent["HyperParameterTuningJobStatus"] in ("InProgress", "Stopping"):
            raise errors.validation(
                f"The parent {parent['HyperParameterTuningJobName']} has not ended: a warm start needs one "
                "that is Completed, Stopped or Failed."
            )


def _check_training(service: Service, record: Record) -> None:
    """What CreateTrainingJob would refuse is refused now, not in every training job."""
    wanted = search.space(record["HyperParameterTuningJobConfig"]["ParameterRanges"])
    values = {
        each.name: each.values[0] if isinstance(each, search.Choice) else each.text(each.low)
        for each in wanted
    }
    both = values.keys() & record["TrainingJobDefinition"].get("StaticHyperParameters", {}).keys()
    if both:
        raise errors.validation(f"The hyperparameter {sorted(both)[0]} is both static and tuned.")
    name = record["HyperParameterTuningJobName"]
    request = driver.training_request(record, f"{name}-000-00000000", values)
    training.check(service, request)
    algorithm = request["AlgorithmSpecification"]
    known = [each["Name"] for each in algorithm.get("MetricDefinitions", ())]
    if training.is_built_in(request):
        known = [each["Name"] for each in metrics.built_in_definitions(algorithm["TrainingImage"])]
    if record["_objective"]["MetricName"] not in known:
        raise errors.validation(
            f"The objective metric {record['_objective']['MetricName']} is none of the algorithm's metrics: "
            f"{', '.join(known) or 'it defines none'}."
        )

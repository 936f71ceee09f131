"""Which operations of the SageMaker API are computed here, which are stored, and that the rest is refused.

This table is the whole dispatch: the documentation's table of what local AWS honours is made of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import endpoint_configs, endpoints, listing, models, packages, processing, tags, training, transform
from .backend import Service
from .monitoring import definitions, schedules
from .tuning import requests as tuning

Handler = Callable[[Service, dict[str, Any]], dict[str, Any]]

COMPUTED: dict[str, Handler] = {
    "CreateTrainingJob": training.create,
    "DescribeTrainingJob": training.describe,
    "StopTrainingJob": training.stop,
    "CreateHyperParameterTuningJob": tuning.create,
    "DescribeHyperParameterTuningJob": tuning.describe,
    "StopHyperParameterTuningJob": tuning.stop,
    "DeleteHyperParameterTuningJob": tuning.delete,
    "ListHyperParameterTuningJobs": tuning.list_jobs,
    "ListTrainingJobsForHyperParameterTuningJob": tuning.list_training_jobs,
    "CreateProcessingJob": processing.create,
    "DescribeProcessingJob": processing.describe,
    "StopProcessingJob": processing.stop,
    "CreateTransformJob": transform.create,
    "DescribeTransformJob": transform.describe,
    "StopTransformJob": transform.stop,
    "CreateModel": models.create,
    "DescribeModel": models.describe,
    "DeleteModel": models.delete,
    "CreateModelPackageGroup": packages.create_group,
    "DescribeModelPackageGroup": packages.describe_group,
    "DeleteModelPackageGroup": packages.delete_group,
    "CreateModelPackage": packages.create,
    "DescribeModelPackage": packages.describe,
    "UpdateModelPackage": packages.update,
    "DeleteModelPackage": packages.delete,
    "CreateEndpointConfig": endpoint_configs.create,
    "DescribeEndpointConfig": endpoint_configs.describe,
    "DeleteEndpointConfig": endpoint_configs.delete,
    "CreateEndpoint": endpoints.create,
    "DescribeEndpoint": endpoints.describe,
    "UpdateEndpoint": endpoints.update,
    "UpdateEndpointWeightsAndCapacities": endpoints.update_weights,
    "DeleteEndpoint": endpoints.delete,
    **definitions.operations(),
    "CreateMonitoringSchedule": schedules.create,
    "DescribeMonitoringSchedule": schedules.describe,
    "UpdateMonitoringSchedule": schedules.update,
    "StartMonitoringSchedule": schedules.start,
    "StopMonitoringSchedule": schedules.stop,
    "DeleteMonitoringSchedule": schedules.delete,
    "ListMonitoringSchedules": schedules.list_schedules,
    "ListMonitoringExecutions": schedules.list_executions,
    "AddTags": tags.add,
    "ListTags": tags.list_tags,
    "DeleteTags": tags.delete,
    **{name: listing.operation(name) for name in listing.LISTINGS},
}

# Answered by the data plane.
RUNTIME = ("InvokeEndpoint", "InvokeEndpointAsync")

# Kept by moto: records without a computation behind them, so keeping them is all there is to do.
STORED = (
    *("CreateExperiment", "DescribeExperiment", "DeleteExperiment", "ListExperiments"),
    *("CreateTrial", "DescribeTrial", "DeleteTrial", "ListTrials"),
    *("CreateTrialComponent", "DescribeTrialComponent", "UpdateTrialComponent", "DeleteTrialComponent"),
    *("ListTrialComponents", "AssociateTrialComponent", "DisassociateTrialComponent"),
)

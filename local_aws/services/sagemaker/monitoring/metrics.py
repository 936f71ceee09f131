"""What an analyser measured, from the file it leaves behind into CloudWatch.

The container writes JSON lines without a namespace; the service, which knows the kind of monitor, chooses it
(AWS's notebooks and samples query the names below; its documentation spells them in several ways).
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from local_aws.services.sagemaker.backend import Record, Service

log = logging.getLogger(__name__)

FILE = "output/metrics/cloudwatch/cloudwatch_metrics.jsonl"
NAMESPACES = {
    "DataQuality": "aws/sagemaker/Endpoints/data-metrics",
    "ModelQuality": "aws/sagemaker/Endpoints/model-metrics",
    "ModelBias": "aws/sagemaker/Endpoints/bias-metrics",
    "ModelExplainability": "aws/sagemaker/Endpoints/explainability-metrics",
}


def publish(service: Service, record: Record, base: Path) -> None:
    """Send the metrics of a finished analysis; a line that is none is logged and left out.

    `base` plays /opt/ml. Only jobs that a schedule started are read. May run twice, when this server is
    killed before the job's end is written down; CloudWatch then holds the same value twice.
    """
    namespace, path = record.get("_metrics_namespace"), base / FILE
    if not namespace or path.is_symlink() or not path.is_file():
        return
    found = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        try:
            found.append(_datum(json.loads(line)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning("%s: line %d of %s is no metric: %r", record["_arn"], number, path.name, error)
    if not found:
        return
    from moto.cloudwatch.models import cloudwatch_backends

    backend = cloudwatch_backends[service.backend.account_id][service.backend.region_name]
    state = service.context.state
    with state.lock("cloudwatch"):
        backend.put_metric_data(namespace, found)
        state.commit("cloudwatch")


def _datum(line: dict[str, Any]) -> dict[str, Any]:
    datum: dict[str, Any] = {
        "MetricName": str(line["MetricName"]),
        "Timestamp": datetime.fromisoformat(line["Timestamp"]),
        "Dimensions": [{"Name": str(d["Name"]), "Value": str(d["Value"])} for d in line["Dimensions"]],
        "Unit": line.get("Unit", "None"),
    }
    if sets := line.get("StatisticValues"):
        names = ("SampleCount", "Sum", "Minimum", "Maximum")
        return datum | {"StatisticValues": {name: float(sets[name]) for name in names}}
    return datum | {"Value": float(line["Value"])}

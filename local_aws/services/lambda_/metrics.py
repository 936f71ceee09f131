"""What functions measure: AWS/Lambda's own metrics, and those that functions write as log lines (EMF).

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import logging
from typing import Any

log = logging.getLogger(__name__)

Datum = dict[str, Any]
Found = list[tuple[str, list[Datum]]]  # (namespace, data) as PutMetricData has them, without times


def invocation(function: str, milliseconds: float, failed: bool) -> Found:
    data = [
        _datum("Invocations", 1.0, "Count", function),
        _datum("Errors", float(failed), "Count", function),
        _datum("Duration", milliseconds, "Milliseconds", function),
    ]
    return [("AWS/Lambda", data)]


def throttle(function: str) -> Found:
    return [("AWS/Lambda", [_datum("Throttles", 1.0, "Count", function)])]


def embedded(line: str) -> Found:
    """The metrics of a log line in the embedded metric format; of any other line none."""
    if not (line.startswith("{") and '"_aws"' in line):
        return []
    try:
        document = json.loads(line)
        return [_of_directive(item, document) for item in document["_aws"]["CloudWatchMetrics"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("a line of embedded metrics is not used (%s: %s): %s", type(error).__name__, error, line)
        return []


def _of_directive(directive: dict[str, Any], document: dict[str, Any]) -> tuple[str, list[Datum]]:
    """Each metric once for each set of dimensions."""
    data: list[Datum] = []
    for names in directive.get("Dimensions") or [[]]:
        dimensions = [{"Name": name, "Value": str(document[name])} for name in names]
        for metric in directive["Metrics"]:
            found = document[metric["Name"]]
            values = [float(value) for value in (found if isinstance(found, list) else [found])]
            data += [
                {
                    "MetricName": metric["Name"],
                    "Dimensions": dimensions,
                    "Value": value,
                    "Unit": metric.get("Unit", "None"),
                }
                for value in values
            ]
    return str(directive["Namespace"]), data


def _datum(name: str, value: float, unit: str, function: str) -> Datum:
    dimensions = [{"Name": "FunctionName", "Value": function}]
    return {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": unit}

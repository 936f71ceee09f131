"""An experiment's metrics and dashboard in CloudWatch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops.bandit.experiment import Experiment
    from mlops.bandit.gate import Verdict
    from mlops.bandit.joins import Counted

NAMESPACE = "MLOps/Bandit"
BATCH = 500  # metrics that one call takes: 1,000; a batch of every arm and outcome stays far below


def of_batch(counted: Counted) -> dict[str, float]:
    """Metric name (with `name|Arm` for one arm's) -> value, of a joined batch."""
    values: dict[str, float] = {f"Rewards{name.title()}": count for name, count in counted.counts.items()}
    if counted.mean_reward is not None:
        values["MeanReward"] = counted.mean_reward
        values |= {f"ArmShare|{arm}": events / counted.used for arm, (events, _) in counted.arms.items()}
    return values


def of_evaluation(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Of an evaluation: the estimated value of each policy and what it is based on."""
    values = {
        "LoggedValue": float(evaluation["logged"]["value"]),
        "EvaluationRows": float(evaluation["rows"]),
    }
    for role, policy in evaluation["policies"].items():
        if policy:
            values[f"{role.title()}Value"] = float(policy["estimates"]["dr"]["value"])
            values[f"{role.title()}EffectiveSampleSize"] = float(policy["effective_sample_size"])
    return values


def of_verdict(verdict: Verdict) -> dict[str, float]:
    return {
        "ChallengerApproved": float(verdict.approved),
        "ChallengerAdvantage": verdict.difference,
        "ChallengerAdvantageLow": verdict.low,
    }


def publish(cloudwatch: Any, experiment: Experiment, values: Mapping[str, float]) -> None:
    """Put the values as metrics of the experiment."""
    data = []
    for name, value in values.items():
        metric, _, arm = name.partition("|")
        dimensions = [{"Name": "Experiment", "Value": experiment.id}]
        dimensions += [{"Name": "Arm", "Value": arm}] if arm else []
        data.append({"MetricName": metric, "Dimensions": dimensions, "Value": float(value)})
    for begin in range(0, len(data), BATCH):
        cloudwatch.put_metric_data(Namespace=NAMESPACE, MetricData=data[begin : begin + BATCH])


def put_dashboard(cloudwatch: Any, experiment: Experiment) -> None:
    """Create or replace the experiment's dashboard: six pictures, as the original had."""
    body = json.dumps({"widgets": _widgets(experiment)})
    cloudwatch.put_dashboard(DashboardName=experiment.endpoint, DashboardBody=body)


def _widgets(experiment: Experiment) -> list[dict[str, Any]]:
    def own(*names: str, statistic: str = "Average") -> list[list[Any]]:
        return [[NAMESPACE, name, "Experiment", experiment.id, {"stat": statistic}] for name in names]

    def endpoint(name: str, statistic: str) -> list[Any]:
        variant = ["EndpointName", experiment.endpoint, "VariantName", "AllTraffic"]
        return ["AWS/SageMaker", name, *variant, {"stat": statistic}]

    of_arms = f'{{{NAMESPACE},Experiment,Arm}} MetricName="ArmShare" Experiment="{experiment.id}"'
    arms = f"SEARCH('{of_arms}', 'Average', 300)"
    fates = ("Train", "Evaluation", "Unmatched", "Unknown", "Late", "Duplicate", "Conflict", "Refused")
    pictures: list[tuple[str, list[list[Any]]]] = [
        ("Mean reward of a batch", own("MeanReward")),
        ("Estimated value", own("ChallengerValue", "ChampionValue", "LoggedValue")),
        (
            "Challenger minus champion",
            own("ChallengerAdvantage", "ChallengerAdvantageLow", "ChallengerApproved"),
        ),
        ("Rewards", own(*(f"Rewards{fate}" for fate in fates), statistic="Sum")),
        ("Share of each arm", [[{"expression": arms, "label": ""}]]),
        (
            "Endpoint",
            [
                endpoint("Invocations", "Sum"),
                endpoint("ModelLatency", "p99"),
                endpoint("Invocation5XXErrors", "Sum"),
            ],
        ),
    ]
    return [
        {
            "type": "metric",
            "x": 12 * (index % 2),
            "y": 6 * (index // 2),
            "width": 12,
            "height": 6,
            "properties": {
                "title": title,
                "metrics": metrics,
                "period": 300,
                "region": experiment.settings.region,
                "view": "timeSeries",
            },
        }
        for index, (title, metrics) in enumerate(pictures)
    ]

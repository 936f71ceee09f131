"""Metrics are added up exactly and survive CloudWatch being away."""

from datetime import UTC, datetime

import pytest

from local_aws.serving.metrics import Metrics, Sample

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ALL = (("EndpointName", "e"), ("VariantName", "A"))
GREEN = (*ALL, ("EndpointConfigName", "green"))


class Store:
    def __init__(self):
        self.calls, self.away = [], False

    def put_metric_data(self, *, Namespace, MetricData):
        if self.away:
            raise ConnectionError("away")
        self.calls.append((Namespace, MetricData))


@pytest.fixture
def store():
    return Store()


def published(store):
    return {
        (datum["MetricName"], len(datum["Dimensions"])): (
            datum["Unit"],
            {key: pytest.approx(value) for key, value in datum["StatisticValues"].items()},
        )
        for _, datums in store.calls
        for datum in datums
    }


def statistic(count, total, low, high):
    return {"SampleCount": count, "Sum": total, "Minimum": low, "Maximum": high}


def test_counts_and_latencies_by_dimension_set(store):
    metrics = Metrics(store, clock=lambda: NOW)
    metrics.record(Sample((ALL, GREEN), 200, 0.001, 0.0015))
    metrics.record(Sample((ALL, GREEN), 400, 0.002, 0.0021))
    metrics.record(Sample((ALL,), 503, 0.003, 0.003))
    assert metrics.flush() == 10
    values = published(store)
    assert values["Invocations", 2] == ("None", statistic(3, 3, 1, 1))
    assert values["Invocations", 3] == ("None", statistic(2, 2, 1, 1))
    assert values["Invocation4XXErrors", 2] == ("None", statistic(3, 1, 0, 1))
    assert values["Invocation5XXErrors", 2] == ("None", statistic(3, 1, 0, 1))
    assert values["Invocation5XXErrors", 3] == ("None", statistic(2, 0, 0, 0))
    assert values["ModelLatency", 2] == ("Microseconds", statistic(3, 6000, 1000, 3000))
    assert values["OverheadLatency", 2] == ("Microseconds", statistic(3, 600, 0, 500))
    (namespace, datums) = store.calls[0]
    assert namespace == "AWS/SageMaker"
    assert datums[0]["Timestamp"] == NOW
    assert datums[0]["Dimensions"] == [
        {"Name": "EndpointName", "Value": "e"},
        {"Name": "VariantName", "Value": "A"},
    ]
    assert metrics.flush() == 0


def test_what_cannot_be_published_is_published_later_and_once(store):
    metrics = Metrics(store, clock=lambda: NOW)
    metrics.record(Sample((ALL,), 200, 0.001, 0.001))
    store.away = True
    assert metrics.flush() == 0
    metrics.record(Sample((ALL,), 200, 0.001, 0.001))
    store.away = False
    assert metrics.flush() == 5
    assert published(store)["Invocations", 2] == ("None", statistic(2, 2, 1, 1))

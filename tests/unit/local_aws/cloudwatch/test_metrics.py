from datetime import UTC, datetime, timedelta

import pytest

from local_aws.services.cloudwatch.metrics import Metric, MetricStore

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATENCY = Metric("AWS/SageMaker", "ModelLatency", (("EndpointName", "churn"),))


@pytest.fixture
def store(tmp_path):
    store = MetricStore(tmp_path / "metrics.db")
    yield store
    store.close()


def put(store, *data):
    store.put(
        "us-east-1",
        "AWS/SageMaker",
        [{"MetricName": "ModelLatency", "Dimensions": LATENCY.api_dimensions(), **datum} for datum in data],
        NOON,
    )


def buckets(store, period=60, minutes=60, **options):
    return store.buckets("us-east-1", LATENCY, NOON, NOON + timedelta(minutes=minutes), period, **options)


def test_values_counts_and_statistic_sets_add_up_in_one_period(store):
    put(
        store,
        {"Value": 5.0},
        {"Values": [1.0, 2.0], "Counts": [3.0, 1.0]},
        {"StatisticValues": {"SampleCount": 2, "Sum": 20, "Minimum": 4, "Maximum": 16}},
    )
    (bucket,) = buckets(store)
    assert (bucket.start, bucket.count, bucket.sum, bucket.minimum, bucket.maximum) == (NOON, 7, 30, 1, 16)
    assert bucket.statistic("Average") == pytest.approx(30 / 7)


def test_periods_are_aligned_and_the_end_is_exclusive(store):
    for second in (0, 59, 60, 300):
        put(store, {"Value": 1.0, "Timestamp": NOON + timedelta(seconds=second)})
    assert [(b.start.minute, b.count) for b in buckets(store, minutes=5)] == [(0, 2), (1, 1)]
    assert [(b.start.minute, b.count) for b in buckets(store, period=300)] == [(0, 3), (5, 1)]


def test_another_set_of_dimensions_is_another_metric(store):
    put(store, {"Value": 1.0})
    store.put("us-east-1", "AWS/SageMaker", [{"MetricName": "ModelLatency", "Value": 9.0}], NOON)
    assert [b.sum for b in buckets(store)] == [1.0]
    assert store.names("us-east-1") == [Metric("AWS/SageMaker", "ModelLatency"), LATENCY]
    assert store.names("eu-west-1") == []


def test_percentiles_come_from_values_and_not_from_statistic_sets(store):
    put(store, {"Values": [float(v) for v in range(1, 101)]})
    (bucket,) = buckets(store, values=True)
    assert [bucket.statistic(p) for p in ("p50", "p99", "p99.5", "p100")] == [50, 99, 100, 100]
    put(store, {"StatisticValues": {"SampleCount": 2, "Sum": 3, "Minimum": 1, "Maximum": 2}})
    (bucket,) = buckets(store, values=True)
    assert bucket.statistic("p50") is None
    with pytest.raises(ValueError, match="statistic TM\\(1:2\\) is not supported"):
        bucket.statistic("TM(1:2)")


def test_a_restart_keeps_the_data_and_old_data_is_forgotten(tmp_path):
    store = MetricStore(tmp_path / "metrics.db")
    put(store, {"Value": 1.0}, {"Value": 2.0, "Timestamp": NOON - timedelta(days=16)})
    store.close()
    store = MetricStore(tmp_path / "metrics.db")
    store.forget_old(NOON)
    everything = store.buckets("us-east-1", LATENCY, NOON - timedelta(days=30), NOON + timedelta(1), 60)
    assert [b.sum for b in everything] == [1.0]
    store.close()

"""The operations that moto's CloudWatch lacks or does in part."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.exceptions import InvalidParameterCombination, ValidationError
from moto.cloudwatch.models import Alarm
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult

from local_aws import aws_errors
from local_aws.services.cloudwatch.backend import Backend

LARGEST_PAGE = 100


class Responses(CloudWatchResponse):
    def put_composite_alarm(self) -> ActionResult:
        if self._get_param("ActionsSuppressor"):
            raise aws_errors.unsupported("cloudwatch", "PutCompositeAlarm", "ActionsSuppressor")
        return self.put_metric_alarm()  # which reads AlarmRule too

    def describe_alarms(self) -> ActionResult:
        """With every filter, the default of AlarmTypes, and pages."""
        names, prefix = self._get_param("AlarmNames"), self._get_param("AlarmNamePrefix")
        for refused in ("ChildrenOfAlarmName", "ParentsOfAlarmName"):
            if self._get_param(refused):
                raise aws_errors.unsupported("cloudwatch", "DescribeAlarms", refused)
        if names and prefix:
            raise ValidationError("AlarmNamePrefix and AlarmNames cannot both be given")
        state, action = self._get_param("StateValue"), self._get_param("ActionPrefix")
        types = self._get_param("AlarmTypes") or ["MetricAlarm"]
        found = [
            alarm
            for alarm in sorted(self._alarms, key=lambda alarm: alarm.name)
            if (not names or alarm.name in names)
            and (not prefix or alarm.name.startswith(prefix))
            and (not state or alarm.state_value == state)
            and (not action or any(arn.startswith(action) for arn in alarm.alarm_actions))
            and ("CompositeAlarm" if alarm.rule else "MetricAlarm") in types
        ]
        page, token = self._page(found)
        answer: dict[str, Any] = {
            "MetricAlarms": [alarm for alarm in page if not alarm.rule],
            "CompositeAlarms": [alarm for alarm in page if alarm.rule],
        }
        return ActionResult(answer | token)

    def describe_alarm_history(self) -> ActionResult:
        name, kind = self._get_param("AlarmName"), self._get_param("HistoryItemType")
        types = self._get_param("AlarmTypes") or ["MetricAlarm"]
        start, end = _moment(self._get_param("StartDate")), _moment(self._get_param("EndDate"))
        items = [
            item
            for alarm in self._alarms
            if name in (None, alarm.name)
            for item in alarm.history
            if kind in (None, item["HistoryItemType"])
            and (name is not None or item["AlarmType"] in types)
            and (start is None or item["Timestamp"] >= start)
            and (end is None or item["Timestamp"] <= end)
        ]
        items.sort(key=lambda item: item["Timestamp"])
        if self._get_param("ScanBy", "TimestampDescending") == "TimestampDescending":
            items.reverse()
        page, token = self._page(items)
        return ActionResult({"AlarmHistoryItems": page} | token)

    def get_metric_statistics(self) -> ActionResult:
        parameters = self._get_params()
        if not parameters.get("Statistics") and not parameters.get("ExtendedStatistics"):
            raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
        backend = self.cloudwatch_backend
        assert isinstance(backend, Backend)
        return ActionResult(
            {"Label": parameters["MetricName"], "Datapoints": backend.metric_statistics(parameters)}
        )

    @property
    def _alarms(self) -> list[Alarm]:
        return list(self.cloudwatch_backend.alarms.values())

    def _page(self, items: list[Any]) -> tuple[list[Any], dict[str, str]]:
        token = str(self._get_param("NextToken") or 0)
        if not token.isdigit():
            raise aws_errors.AwsError("InvalidNextToken", "The next token is not valid")
        begin = int(token)
        stop = begin + min(int(self._get_param("MaxRecords") or LARGEST_PAGE), LARGEST_PAGE)
        return items[begin:stop], {"NextToken": str(stop)} if stop < len(items) else {}


def _moment(value: Any) -> Any:
    """Times of requests, which may be naive."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value

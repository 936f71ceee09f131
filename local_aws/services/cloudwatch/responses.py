"""The operation that moto's CloudWatch lacks: the history of an alarm's state."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from moto.cloudwatch.models import Alarm
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult

LARGEST_PAGE = 100


class Responses(CloudWatchResponse):
    def describe_alarm_history(self) -> ActionResult:
        name = self._get_param("AlarmName")
        kind = self._get_param("HistoryItemType")
        start, end = _moment(self._get_param("StartDate")), _moment(self._get_param("EndDate"))
        items = [
            item
            for alarm in self.cloudwatch_backend.describe_alarms()
            if name in (None, alarm.name)
            for item in _history(alarm)
            if kind in (None, "StateUpdate")
            and (start is None or _moment(item["Timestamp"]) >= start)
            and (end is None or _moment(item["Timestamp"]) <= end)
        ]
        newest_first = self._get_param("ScanBy", "TimestampDescending") == "TimestampDescending"
        items.sort(key=lambda item: item["Timestamp"], reverse=newest_first)
        begin = int(self._get_param("NextToken") or 0)
        stop = begin + min(int(self._get_param("MaxRecords") or LARGEST_PAGE), LARGEST_PAGE)
        answer: dict[str, Any] = {"AlarmHistoryItems": items[begin:stop]}
        if stop < len(items):
            answer["NextToken"] = str(stop)
        return ActionResult(answer)


def _history(alarm: Alarm) -> list[dict[str, Any]]:
    """One item a change of state. moto keeps the states that were left; the present one closes the row."""
    present = (
        "StateUpdate",
        alarm.state_reason,
        alarm.state_reason_data,
        alarm.state_value,
        alarm.state_updated_timestamp,
    )
    return [
        {
            "AlarmName": alarm.name,
            "AlarmType": "MetricAlarm",
            "Timestamp": new[4],
            "HistoryItemType": "StateUpdate",
            "HistorySummary": f"Alarm updated from {old[3]} to {new[3]}",
            "HistoryData": json.dumps(
                {
                    "version": "1.0",
                    "oldState": {"stateValue": old[3], "stateReason": old[1]},
                    "newState": {"stateValue": new[3], "stateReason": new[1]},
                }
            ),
        }
        for old, new in pairwise([*alarm.history, present])
    ]


def _moment(value: Any) -> Any:
    """Times of requests and of moto, which may be naive, in one form."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value

"""Time to live: items whose time is over are deleted."""

from __future__ import annotations

from datetime import datetime

from local_aws.services.dynamodb.table import StoredTable

FIVE_YEARS = 5 * 365 * 24 * 3600  # AWS leaves what is older: it may not be a time at all


def expire(table: StoredTable, now: datetime) -> int:
    """Delete what has expired; returns how many items."""
    if table.ttl["TimeToLiveStatus"] != "ENABLED":
        return 0
    moment = now.timestamp()
    expired = []
    for item in table.all_items():
        value = item.attrs.get(table.ttl["AttributeName"])
        if value is not None and value.is_number() and moment - FIVE_YEARS < float(value.value) < moment:
            expired.append((item.hash_key, item.range_key))
    for key in expired:
        table.delete_item(*key)
    return len(expired)

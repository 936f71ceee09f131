"""moto's table, which knows which of its items a request may have changed."""

from __future__ import annotations

import contextlib
import copy
import uuid
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, ClassVar

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

from local_aws.services.dynamodb.store import Change, ItemStore, Key

Items = defaultdict[DynamoType, Any]  # hash -> item, or hash -> range -> item


class StoredTable(Table):
    """id: names its rows; a table that is deleted and made again gets another one. touched: keys that may
    differ from the disk. Both belong to the live table; a copy (a backup) carries its items in the snapshot.
    """

    store: ClassVar[ItemStore]
    _items: Items | None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.id = uuid.uuid4().hex
        self.touched: dict[Key, None] = {}
        self.live = True
        super().__init__(*arguments, **named)

    @property
    def items(self) -> Items:
        """Read from disk at the first use after a start."""
        if self._items is None:
            self._items = defaultdict(dict)
            for item in self.store.items(self.id):
                self.set_item((item.hash_key, item.range_key), item)
        return self._items

    @items.setter
    def items(self, items: Any) -> None:
        self._items = items

    def set_item(self, key: Key, item: Item | None) -> None:
        """Put or remove, without conditions."""
        hash_key, range_key = key
        holder, last = (self.items, hash_key) if range_key is None else (self.items[hash_key], range_key)
        if item is None:
            holder.pop(last, None)
        else:
            holder[last] = item

    def put_item(self, item_attrs: dict[str, Any], *arguments: Any, **named: Any) -> Item:
        item = super().put_item(item_attrs, *arguments, **named)
        self.touched[item.hash_key, item.range_key] = None
        return item

    def delete_item(self, hash_key: DynamoType, range_key: DynamoType | None) -> Item | None:
        self.touched[hash_key, range_key] = None
        return super().delete_item(hash_key, range_key)

    @contextlib.contextmanager
    def changing(self, key: Key) -> Iterator[None]:
        """moto changes an item in place: give it a copy, so that copies of the table keep the old one, and
        put the old one back when the change fails half way."""
        before = self.get_item(*key)
        self.touched[key] = None
        if before is not None:
            self.set_item(key, copy.deepcopy(before))
        try:
            yield
        except BaseException:
            self.set_item(key, before)
            raise

    def changes(self) -> list[Change]:
        """What is to be written; from then on nothing is touched."""
        touched, self.touched = self.touched, {}
        return [(self.id, key, self.get_item(*key)) for key in touched]

    def __deepcopy__(self, memo: dict[int, Any]) -> StoredTable:
        """moto copies a table before each transaction. The copy shares the items, which nobody changes in
        place, so its cost does not follow their size."""
        items = {key: dict(value) if isinstance(value, dict) else value for key, value in self.items.items()}
        twin = memo[id(self)] = StoredTable.__new__(StoredTable)
        own = {"_items": None, "touched": None}
        twin.__dict__.update(copy.deepcopy({**vars(self), **own, "live": False}, memo))
        twin.items = defaultdict(dict, items)
        twin.touched = dict(self.touched)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        own: dict[str, Any] = {"_items": None, "touched": {}} if self.live else {}
        return {**vars(self), **own}


class Backend(DynamoDBBackend):
    def update_item(self, table_name: str, key: dict[str, Any], *arguments: Any, **named: Any) -> Item:
        table = self.get_table(table_name)
        with contextlib.ExitStack() as stack:
            if isinstance(table, StoredTable) and table.hash_key_attr in key:
                stack.enter_context(table.changing(self.get_keys_value(table, key)))
            return super().update_item(table_name, key, *arguments, **named)

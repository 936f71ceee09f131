"""The rows of a listing, written as text. moto serializes each in 60 µs, most of the time of a listing."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

NAMES = {"Key", "LastModified", "ETag", "ChecksumAlgorithm", "Size", "StorageClass", "Owner"}


def row(item: dict[str, Any]) -> str:
    """One object of ListObjects and ListObjectsV2, as moto serializes it."""
    checksum = item.get("ChecksumAlgorithm")
    owner = item.get("Owner")
    return (
        f"<Contents><Key>{escape(item['Key'])}</Key>"
        f"<LastModified>{item['LastModified']:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
        f"<ETag>{escape(item['ETag'])}</ETag>"
        + (f"<ChecksumAlgorithm>{escape(checksum[0])}</ChecksumAlgorithm>" if checksum else "")
        + f"<Size>{item['Size']}</Size><StorageClass>{escape(item['StorageClass'])}</StorageClass>"
        + (
            f"<Owner><DisplayName>{owner['DisplayName']}</DisplayName><ID>{owner['ID']}</ID></Owner>"
            if owner
            else ""
        )
        + "</Contents>"
    )


def filled(body: str, contents: list[dict[str, Any]]) -> str | None:
    """`body`, in which moto has serialized the first of `contents` only, with all of them; None when moto
    writes a row in another way than we do."""
    if any(set(item) - NAMES for item in contents):
        return None
    first = row(contents[0])
    before, found, after = body.partition(first)
    return before + first + "".join(map(row, contents[1:])) + after if found else None

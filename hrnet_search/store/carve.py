"""Rows out of the pages of an SQLite file, whatever has become of the rest of it.

Only what the file format says of a table's leaf pages is used (https://sqlite.org/fileformat2.html):
no header, no root page and no definition has to be whole. What is found has to be checked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from hrnet_search.store.tables import Row

PAGE = 4096
"""The page size of a study.db: SQLite's own where nothing else is said."""

HEADER = 100
LEAF = 0x0D
SERIAL_BYTES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}


def rows(content: bytes) -> Iterator[Row]:
    """Yield what looks like rows: the row's number, then its values as they are stored."""
    for start in range(0, len(content), PAGE):
        begins = start + (HEADER if start == 0 else 0)
        if content[begins : begins + 1] != bytes([LEAF]):
            continue
        (count,) = struct.unpack(">H", content[begins + 3 : begins + 5].rjust(2, b"\0"))
        for n in range(min(count, PAGE // 4)):
            place = content[begins + 8 + 2 * n : begins + 10 + 2 * n]
            if len(place) == 2:
                found = _row(content, start, int.from_bytes(place, "big"))
                if found is not None:
                    yield found


def _row(content: bytes, start: int, place: int) -> Row | None:
    try:
        size, at = _varint(content, start + place)
        number, at = _varint(content, at)
        record = _payload(content, start, at, size)
        return (number, *_values(record))
    except (IndexError, KeyError, ValueError, struct.error):
        return None


def _payload(content: bytes, start: int, at: int, size: int) -> bytes:
    """Return a record, from its page and the pages that it overflows into."""
    if size > len(content):
        raise ValueError("longer than the file")
    most, least = PAGE - 35, (PAGE - 12) * 32 // 255 - 23
    if size <= most:
        return _cut(content, at, size)
    here = least + (size - least) % (PAGE - 4)
    here = here if here <= most else least
    if at + here + 4 > start + PAGE:
        raise ValueError("beyond its page")
    parts, left = [_cut(content, at, here)], size - here
    (page,) = struct.unpack(">I", _cut(content, at + here, 4))
    while left > 0:
        if page < 1:
            raise ValueError("a chain that ends")
        following = (page - 1) * PAGE
        (page,) = struct.unpack(">I", _cut(content, following, 4))
        parts.append(_cut(content, following + 4, min(left, PAGE - 4)))
        left -= PAGE - 4
    return b"".join(parts)


def _values(record: bytes) -> list[Any]:
    length, at = _varint(record, 0)
    kinds = []
    while at < length:
        kind, at = _varint(record, at)
        kinds.append(kind)
    if at != length:
        raise ValueError("a header of another length")
    values = []
    for kind in kinds:
        size = SERIAL_BYTES[kind] if kind < 12 else (kind - 12) // 2
        values.append(_value(kind, _cut(record, at, size)))
        at += size
    return values


def _value(kind: int, data: bytes) -> Any:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind == 7:
        return struct.unpack(">d", data)[0]
    if kind < 7:
        return int.from_bytes(data, "big", signed=True)
    return data if kind % 2 == 0 else str(data, "utf-8", "surrogateescape")


def _cut(data: bytes, at: int, size: int) -> bytes:
    found = data[at : at + size]
    if len(found) != size:
        raise ValueError("beyond the end")
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return SQLite's integer of 1 to 9 bytes, and where it ends."""
    value = 0
    for n in range(9):
        byte = data[at + n]
        if n == 8:
            value = value << 8 | byte
            return value - (1 << 64 if value >> 63 else 0), at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + n + 1
    raise ValueError("no integer")

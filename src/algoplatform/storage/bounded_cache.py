"""A cache bounded by bytes, keys included."""

import sys
from collections import OrderedDict
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")

# Overhead of an entry besides key and contents: dictionary slot, tuple, object headers.
_FRAME: Final = 1024


class BoundedCache(Generic[Value]):
    """A least-recently-used cache of up to `most` bytes; values larger than a quarter of that are not cached."""

    def __init__(self, most: int) -> None:
        self._most = most
        # OrderedDict: a plain dict scans over all removed slots to find its first item.
        self._entries: OrderedDict[bytes | str, tuple[int, Value]] = OrderedDict()
        self.bytes = 0

    def __contains__(self, key: bytes | str) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: bytes | str, value: Value, size: int = 0) -> None:
        """Cache a value whose contents take `size` bytes."""
        self.take(key)
        size += sys.getsizeof(key) + _FRAME
        if size > self._most // 4:
            return
        self._entries[key] = (size, value)
        self.bytes += size
        while self.bytes > self._most:
            self.take(next(iter(self._entries)))

    def get(self, key: bytes | str) -> Value | None:
        """Return a value; None if there is none."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def take(self, key: bytes | str) -> Value | None:
        """Remove and return a value; None if there is none."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self.bytes -= entry[0]
        return entry[1]

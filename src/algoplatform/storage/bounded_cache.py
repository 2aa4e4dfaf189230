"""A cache that is bounded in bytes, keys included."""

import sys
from collections import OrderedDict
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")

# Beside key and contents: the entry in the dictionary, the tuple, the objects' headers.
_FRAME: Final = 1024


class BoundedCache(Generic[Value]):
    """The values put in latest, as many as fit into `most` bytes; one that takes a quarter of that is not kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        # Not a dict, which looks for its first item among all that were removed before it.
        self._entries: OrderedDict[str, tuple[int, Value]] = OrderedDict()
        self.bytes = 0

    def __contains__(self, key: str) -> bool:
        """Tell whether there is a value under the key."""
        return key in self._entries

    def __len__(self) -> int:
        """Count the values."""
        return len(self._entries)

    def put(self, key: str, value: Value, size: int = 0) -> None:
        """Keep a value whose contents take `size` bytes."""
        self.take(key)
        size += sys.getsizeof(key) + _FRAME
        if size > self._most // 4:
            return
        self._entries[key] = (size, value)
        self.bytes += size
        while self.bytes > self._most:
            self.take(next(iter(self._entries)))

    def take(self, key: str) -> Value | None:
        """Take a value out; None where there is none."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self.bytes -= entry[0]
        return entry[1]

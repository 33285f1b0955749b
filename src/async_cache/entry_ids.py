"""Entry ids: identifiers that callers link to cache entries.

A caller that stored or found an entry can look it up later by its own id, without the
arguments that the key was made from. A link is removed with its entry, with its owner, or
when there are too many, so the mapping cannot grow without limit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MAX_IDS: Final = 100_000
"""Number of ids to keep by default. One key can collect many of them, because each hit may link another."""

KeyIds = tuple[str, dict[str, str | None]]
"""The key (one object shared by all its ids), and its ids with the alias of each."""

_NO_IDS: Final[KeyIds] = "", {}


class EntryIds:
    """Maps entry ids to cache keys, and keys to ids.

    Args:
        max_ids: Number of ids to keep; the oldest is removed first.

    Attributes:
        keys: A live, read-only view: entry id to cache key.
    """

    def __init__(self, max_ids: int = MAX_IDS) -> None:
        self._max_ids = max_ids
        self._keys: OrderedDict[str, str] = OrderedDict()
        self._ids: dict[str, KeyIds] = {}
        self._by_alias: dict[str, str] = {}
        self.keys: Mapping[str, str] = MappingProxyType(self._keys)

    def link(self, entry_id: str, key: str, alias: str | None = None) -> None:
        """Link an id, and an alias of it, to the entry under *key*."""
        keys = self._keys
        if entry_id in keys:
            if keys[entry_id] == key and self._ids[key][1][entry_id] == alias:
                return
            self._remove(entry_id)
        known = self._ids.get(key)
        if known is None:
            self._ids[key] = key, {entry_id: alias}
        else:
            key, ids = known
            ids[entry_id] = alias
        keys[entry_id] = key
        if alias is not None:
            self._by_alias[alias] = entry_id
        if len(keys) > self._max_ids:
            self._remove(next(iter(keys)))

    def key_of(self, entry_id: str) -> str | None:
        """Return the key that an id or an alias is linked to, or None."""
        key = self._keys.get(entry_id)
        return self._keys.get(self._by_alias.get(entry_id, "")) if key is None else key

    def ids_of(self, key: str) -> tuple[str, ...]:
        """Return the ids linked to *key*."""
        return tuple(self._ids.get(key, _NO_IDS)[1])

    def known_keys(self) -> list[str]:
        """Return all keys that have an id."""
        return list(self._ids)

    def forget(self, entry_id: str) -> None:
        """Remove an id and its alias, given either of them. The entry stays."""
        self._remove(entry_id if entry_id in self._keys else self._by_alias.get(entry_id, entry_id))

    def forget_key(self, key: str) -> None:
        """Remove all ids of *key*, whose entry has been removed."""
        for entry_id, alias in self._ids.pop(key, _NO_IDS)[1].items():
            del self._keys[entry_id]
            self._remove_alias(alias, entry_id)

    def clear(self) -> None:
        """Remove all ids."""
        self._keys.clear()
        self._ids.clear()
        self._by_alias.clear()

    def _remove(self, entry_id: str) -> None:
        key = self._keys.pop(entry_id, None)
        if key is None:
            return
        _, ids = self._ids[key]
        alias = ids.pop(entry_id)
        if not ids:
            del self._ids[key]
        self._remove_alias(alias, entry_id)

    def _remove_alias(self, alias: str | None, entry_id: str) -> None:
        if alias is not None and self._by_alias.get(alias) == entry_id:
            del self._by_alias[alias]

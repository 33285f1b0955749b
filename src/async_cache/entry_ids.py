"""Which entry a caller's own id stands for.

Whoever stored or found an entry may name it later by an id of their own, without the
arguments its key was made of. A mapping is dropped with its entry, with its owner, or
when there are too many: it never outgrows what it points at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MAX_IDS: Final = 100_000
"""How many ids are kept unless told otherwise. One key can collect many of them by being hit often."""

Named = tuple[str, dict[str, str | None]]
"""The key, as one object for all ids that stand for it, and these ids with the alias of each."""

_NOTHING: Final[Named] = "", {}


class EntryIds:
    """Maps entry ids to cache keys, both ways round.

    Args:
        max_ids: How many ids to keep; the oldest goes first.

    Attributes:
        keys: A live, read-only view: entry id to cache key.
    """

    def __init__(self, max_ids: int = MAX_IDS) -> None:
        self._max_ids = max_ids
        self._keys: OrderedDict[str, str] = OrderedDict()
        self._ids: dict[str, Named] = {}
        self._by_alias: dict[str, str] = {}
        self.keys: Mapping[str, str] = MappingProxyType(self._keys)

    def link(self, entry_id: str, key: str, alias: str | None = None) -> None:
        """Let the id, and its alias, stand for the entry under *key* from now on."""
        keys = self._keys
        if entry_id in keys:
            if keys[entry_id] == key and self._ids[key][1][entry_id] == alias:
                return
            self._drop(entry_id)
        named = self._ids.get(key)
        if named is None:
            self._ids[key] = key, {entry_id: alias}
        else:
            key, ids = named
            ids[entry_id] = alias
        keys[entry_id] = key
        if alias is not None:
            self._by_alias[alias] = entry_id
        if len(keys) > self._max_ids:
            self._drop(next(iter(keys)))

    def key_of(self, entry_id: str) -> str | None:
        """Return the key an id or an alias stands for, or None."""
        key = self._keys.get(entry_id)
        return self._keys.get(self._by_alias.get(entry_id, "")) if key is None else key

    def ids_of(self, key: str) -> tuple[str, ...]:
        """Return the ids that stand for *key*."""
        return tuple(self._ids.get(key, _NOTHING)[1])

    def known_keys(self) -> list[str]:
        """Return every key some id stands for."""
        return list(self._ids)

    def forget(self, entry_id: str) -> None:
        """Drop one id (or alias) and whatever else its owner called the entry. The entry stays."""
        self._drop(entry_id if entry_id in self._keys else self._by_alias.get(entry_id, entry_id))

    def forget_key(self, key: str) -> None:
        """Drop every id that stands for *key*, because its entry is gone."""
        for entry_id, alias in self._ids.pop(key, _NOTHING)[1].items():
            del self._keys[entry_id]
            self._drop_alias(alias, entry_id)

    def clear(self) -> None:
        """Drop every id."""
        self._keys.clear()
        self._ids.clear()
        self._by_alias.clear()

    def _drop(self, entry_id: str) -> None:
        key = self._keys.pop(entry_id, None)
        if key is None:
            return
        _, ids = self._ids[key]
        alias = ids.pop(entry_id)
        if not ids:
            del self._ids[key]
        self._drop_alias(alias, entry_id)

    def _drop_alias(self, alias: str | None, entry_id: str) -> None:
        if alias is not None and self._by_alias.get(alias) == entry_id:
            del self._by_alias[alias]

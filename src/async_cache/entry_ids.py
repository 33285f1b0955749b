"""Which entry a caller's own id stands for.

Whoever stored or found an entry may name it later by an id of their own, without the
arguments its key was made of. A mapping is dropped with its entry, with its owner, or
when there are too many: it never outgrows what it points at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

MAX_IDS: Final = 100_000
"""How many ids are kept unless told otherwise. One key can collect many of them by being hit often."""


class EntryName(NamedTuple):
    """What a caller calls an entry.

    Attributes:
        entry_id: Its id.
        alias: A second id that means the same, or None.
    """

    entry_id: str
    alias: str | None = None

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every id the entry answers to."""
        return (self.entry_id,) if self.alias in (None, self.entry_id) else (self.entry_id, str(self.alias))


class EntryIds:
    """Maps entry ids to cache keys, both ways round.

    Args:
        max_ids: How many ids to keep; the oldest goes first. None for any number.
    """

    def __init__(self, max_ids: int | None = MAX_IDS) -> None:
        self._max_ids = max_ids
        self._keys: OrderedDict[str, str] = OrderedDict()
        self._ids: dict[str, set[str]] = {}
        self._alias_of: dict[str, str] = {}
        self._by_alias: dict[str, str] = {}
        self.keys: Mapping[str, str] = MappingProxyType(self._keys)
        """A live, read-only view: entry id to cache key."""

    def link(self, entry_id: str, key: str, alias: str | None = None) -> None:
        """Let the id, and its alias, stand for the entry under *key* from now on."""
        known = self._keys.get(entry_id)
        if known != key:
            if known is not None:
                self.forget(entry_id)
            self._keys[entry_id] = key
            self._ids.setdefault(key, set()).add(entry_id)
            if self._max_ids is not None and len(self._keys) > self._max_ids:
                self.forget(next(iter(self._keys)))
        if alias is not None and alias != entry_id:
            self._alias_of[entry_id] = alias
            self._by_alias[alias] = entry_id

    def key_of(self, entry_id: str) -> str | None:
        """Return the key an id or an alias stands for, or None."""
        key = self._keys.get(entry_id)
        return self._keys.get(self._by_alias.get(entry_id, "")) if key is None else key

    def forget(self, entry_id: str) -> None:
        """Drop one id (or alias) and whatever else its owner called the entry. The entry stays."""
        entry_id = entry_id if entry_id in self._keys else self._by_alias.get(entry_id, entry_id)
        key = self._keys.pop(entry_id, None)
        if key is None:
            return
        ids = self._ids[key]
        ids.discard(entry_id)
        if not ids:
            del self._ids[key]
        self._drop_alias(entry_id)

    def forget_key(self, key: str) -> None:
        """Drop every id that stands for *key*, because its entry is gone."""
        for entry_id in self._ids.pop(key, ()):
            del self._keys[entry_id]
            self._drop_alias(entry_id)

    def known_keys(self) -> list[str]:
        """Return every key some id stands for."""
        return list(self._ids)

    def ids_of(self, key: str) -> tuple[str, ...]:
        """Return the ids that stand for *key*."""
        return tuple(self._ids.get(key, ()))

    def clear(self) -> None:
        """Drop every id."""
        for index in (self._keys, self._ids, self._alias_of, self._by_alias):
            index.clear()

    def _drop_alias(self, entry_id: str) -> None:
        alias = self._alias_of.pop(entry_id, None)
        if alias is not None and self._by_alias.get(alias) == entry_id:
            del self._by_alias[alias]

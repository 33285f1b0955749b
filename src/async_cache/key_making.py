"""From a call to the key of its entry, or to the decision that there is none."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from .complaints import Complaints
from .exceptions import UncacheableError, described
from .keys import context_of, default_key, validated_key
from .statistics import Tally

logger = logging.getLogger(__name__)

KeyFunction = Callable[[dict[str, Any]], str]
"""Returns a key for the context of a call: ``func_name``, ``args``, ``kwargs``, ``entry_id``, ``metadata``."""

KEY_FUNCTION: Final = "key function "


class KeyMaker:
    """Makes keys, and counts the calls that get none.

    Args:
        tally: Where those are counted.
        validate: Whether keys nobody should make are refused with an error.
    """

    def __init__(self, tally: Tally, *, validate: bool) -> None:
        self.validate = validate
        self._tally = tally
        self._complaints = Complaints(logger)

    def key_for(
        self,
        func: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        key_fn: KeyFunction | None,
        entry_id: str | None,
        metadata: Mapping[str, Any] | None,
    ) -> str | None:
        """Return the key of the call; None if it is to go uncached.

        Raises:
            InvalidCacheKeyError: Keys are validated, and this one is none to be used.
        """
        if key_fn is None:
            return self._default_key(func, args, kwargs)
        return self._custom_key(key_fn, context_of(name_of(func), args, kwargs, entry_id, metadata))

    def _default_key(
        self, func: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> str | None:
        try:
            return default_key(func, args, kwargs)
        except UncacheableError as error:
            kind = error.kind.__qualname__
            self._bypass(kind, "cache: %s is called uncached: %s", name_of(func), error)
            return None

    def _custom_key(self, key_fn: KeyFunction, context: dict[str, Any]) -> str | None:
        try:
            key: object = key_fn(context)
        except Exception as error:  # noqa: BLE001 - user code; its call is to run all the same
            self._complain(key_fn, context, described(error))
            return None
        if self.validate:
            return validated_key(key)
        if isinstance(key, str):
            return key
        self._complain(key_fn, context, f"returned {type(key).__name__} instead of str")
        return None

    def _complain(self, key_fn: KeyFunction, context: dict[str, Any], trouble: str) -> None:
        name = KEY_FUNCTION + name_of(key_fn)
        self._bypass(name, "cache: %s is called uncached: %s: %s", context["func_name"], name, trouble)

    def _bypass(self, topic: str, message: str, *details: object) -> None:
        self._tally.bypassed[topic] += 1
        self._complaints.once(topic, message, *details)


def name_of(func: object) -> str:
    """Return what a function is called; of a partial, the one it will call."""
    while isinstance(func, functools.partial):
        func = func.func
    return func if isinstance(func, str) else str(getattr(func, "__name__", type(func).__name__))

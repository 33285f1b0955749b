"""SafeLogger: a logger whose methods never raise, for code that must finish even if the logging set-up fails."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any


class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs like the logger of the same name; an exception raised by the set-up goes to stderr.

    Handlers, filters and record factories belong to the program, and those that raise do so from
    the logging call: in the middle of what a task's end still has to do. As for handlers of
    :mod:`logging`, nothing is printed where ``logging.raiseExceptions`` is False.

    Args:
        name: The name of the logger.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name))

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Return both as they are: ``extra`` is that of each call."""
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a message; without its ``extra`` if a record factory uses one of those names itself."""
        try:
            try:
                self.logger.log(level, msg, *args, stacklevel=2, **kwargs)
            except KeyError as error:
                if not kwargs.pop("extra", None) or "overwrite" not in str(error):
                    raise
                self.logger.log(level, msg, *args, stacklevel=2, **kwargs)
        except Exception:  # noqa: BLE001 - handlers and filters of the program may raise anything
            if logging.raiseExceptions and sys.stderr is not None:
                traceback.print_exc()

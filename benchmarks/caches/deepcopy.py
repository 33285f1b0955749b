"""``copy.deepcopy``: how a copy is made where nothing can be done beforehand."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any


class Adapter:
    """The function."""

    def copier(self, value: Any) -> Callable[[], Any]:
        return partial(deepcopy, value)

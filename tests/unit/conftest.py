"""Modules are looked at one by one, so the worker around them is the simplest one there is."""

from __future__ import annotations

import pytest

from tests.support.backends import BACKENDS, Backend


@pytest.fixture
def backend() -> Backend:
    return BACKENDS[0]

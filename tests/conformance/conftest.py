"""What only the conformance suite needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance import from_inside_task
from tests.support.backends import Backend


@pytest.fixture(autouse=True)
def _nobody_let_in() -> Iterator[None]:
    yield
    from_inside_task.forget_worker()


@pytest.fixture
def of_the_moment(backend: Backend) -> None:
    """For tests with functions or values that only memory holds."""
    if backend.durable:
        pytest.skip("a file can name neither a function inside of another nor an object without a value")


@pytest.fixture
def several_workers(backend: Backend) -> None:
    """For tests with more than one worker at a time."""
    if backend.durable:
        pytest.skip("two workers cannot have one file open")

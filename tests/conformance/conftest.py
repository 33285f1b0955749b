"""What only the conformance suite needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance import inside


@pytest.fixture(autouse=True)
def _nobody_let_in() -> Iterator[None]:
    yield
    inside.let_nobody_in()

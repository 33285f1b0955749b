"""Messages of the errors of the cache, with and without docstrings."""

from __future__ import annotations

import subprocess
import sys

import pytest

from async_cache.exceptions import AsyncCacheError, CacheUnavailableError, UnencodableError

WITHOUT_DOCSTRINGS = """
from async_cache import exceptions

class UndocumentedError(exceptions.CacheUnavailableError):
    "It has a docstring, which this interpreter drops."

for error in vars(exceptions).values():
    if isinstance(error, type) and issubclass(error, exceptions.AsyncCacheError):
        typed = issubclass(error, exceptions.UnsupportedTypeError)
        print(error(int, "a detail") if typed else error("a detail"))
print(UndocumentedError())
"""


def test_errors_have_messages_without_docstrings() -> None:
    ran = subprocess.run([sys.executable, "-OO", "-c", WITHOUT_DOCSTRINGS], capture_output=True, text=True, check=True)

    lines = ran.stdout.splitlines()
    assert len(lines) == 9
    assert not [line for line in lines if "None" in line]
    assert "a detail: These bytes are not what this cache writes. Treat them as a miss and delete them." in lines
    assert lines[-1] == str(CacheUnavailableError())


def test_the_message_of_a_subclass_is_its_text_or_docstring_or_the_text_of_its_base() -> None:
    class DocumentedError(CacheUnavailableError):
        """The database sleeps at night."""

    class ExplicitError(DocumentedError):
        """A class that is documented otherwise."""

        text = "Wait until the morning."

    class SilentError(ExplicitError):
        pass

    class UnableError(UnencodableError):
        pass

    assert str(DocumentedError("pantry")) == "pantry: The database sleeps at night."
    assert str(ExplicitError()) == "Wait until the morning."
    assert str(SilentError("attic")) == "attic: Wait until the morning."
    assert str(UnableError(int)) == f"int: {UnencodableError.text}"


@pytest.mark.parametrize("base", [AsyncCacheError, CacheUnavailableError])
def test_a_subclass_without_a_text_has_the_text_of_its_base(base: type[AsyncCacheError]) -> None:
    assert str(type("Silent", (base,), {})("a detail")) == f"a detail: {base.text}"

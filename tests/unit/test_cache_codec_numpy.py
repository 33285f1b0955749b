"""numpy's arrays and scalars as values and as arguments."""

import sys
import typing

import msgpack
import pytest

from async_cache.codec import Codec
from async_cache.exceptions import CorruptError, UnencodableError
from async_cache.keys import default_key
from async_cache.snapshot import snapshot_of

np = pytest.importorskip("numpy")
codec = Codec()
MARK = msgpack.ExtType(42, b"")


def typed(*items: object) -> bytes:
    """Return a payload of format 2, written by hand."""
    return b"\x92\x02" + msgpack.packb([MARK, *items])


async def work(*args: object) -> object:
    return args


def arrays() -> list[typing.Any]:
    grid = np.arange(6.0).reshape(2, 3)
    return [
        grid, np.asfortranarray(grid), grid[:, ::2], np.array(5), np.zeros((0, 3)), np.array([], dtype="f4"),
        np.array([True, False]), np.array([1], dtype=">i2"), np.array([1 + 2j]), np.array(["a", "bc"]),
        np.array([b"a"]), np.array(["2020-01-01", "NaT"], dtype="M8[D]"), np.array([1], dtype="m8[25s]"),
        np.array([1.5], dtype="f2"), np.array([np.nan, -0.0]), np.array([2**63], dtype="u8"),
    ]  # fmt: skip


def test_arrays_are_decoded_unchanged() -> None:
    for array in arrays():
        again = codec.decode(codec.encode({"a": (array,)}))["a"][0]
        np.testing.assert_array_equal(again, array, strict=True)
        assert again.dtype == array.dtype
        assert again.flags.writeable
        assert again.flags.owndata
        assert again.flags.fnc == array.flags.fnc


def test_scalars_are_decoded_unchanged() -> None:
    for scalar in (
        np.float64(1.5), np.float32(0.1), np.int8(-1), np.uint64(2**64 - 1), np.bool_(1), np.complex64(1j),
        np.str_("a\0"), np.str_(""), np.bytes_(b"a\0"), np.datetime64("2020-01-01T00"), np.timedelta64(1, "D"),
        np.float64("nan"),
    ):  # fmt: skip
        again = codec.decode(codec.encode([scalar]))[0]
        assert type(again) is type(scalar)
        assert repr(again) == repr(scalar)


def test_arrays_of_objects_and_records_are_refused() -> None:
    for value in (
        np.array([None]), np.array([(1, 2)], dtype=[("a", "i4"), ("b", "i4")]), np.ma.array([1], mask=[True]),
        np.array([(1,)], dtype=[("a", "i4")])[0], np.float64, np.dtype("f8"),
    ):  # fmt: skip
        with pytest.raises(UnencodableError):
            codec.encode(value)


def test_a_payload_cannot_create_an_array_of_objects() -> None:
    for kind in ("|O", "O", "|O8", "i4,O", "<f8, <f8", "|V8", "|S0", "<M8[nonsense]", "f8", ["a"], None):
        with pytest.raises(CorruptError):
            codec.decode(typed("na", kind, "C", [1], b"\0" * 8))


def test_decoding_an_array_does_not_import_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    data = codec.encode(arrays()[0])
    monkeypatch.delitem(sys.modules, "numpy")

    with pytest.raises(CorruptError):
        codec.decode(data)


def test_keys_of_arrays_depend_on_type_shape_and_content() -> None:
    values = [
        np.array([1, 2]), np.array([1, 2], "i4"), np.array([[1, 2]]), np.array([1, 3]), [1, 2], np.int64(1), 1,
        np.float64(1), 1.0, np.str_("1"), "1", np.array(1), np.bool_(1), True,
    ]  # fmt: skip

    assert len({default_key(work, (value,), {}) for value in values}) == len(values)
    assert default_key(work, (np.arange(4)[::2],), {}) == default_key(work, (np.array([0, 2]),), {})


def test_a_refused_array_is_pickled_even_if_the_pickle_of_its_copy_differs() -> None:
    """The copy of every second column has its bytes in one piece."""
    columns = np.ma.array(np.arange(12).reshape(3, 4)[:, ::2], mask=False)
    records = np.zeros(4, dtype=[("a", "i4")])[::2]

    for value in ([columns], {"a": records}):
        snapshot = snapshot_of(codec, value)

        assert repr(snapshot.value()) == repr(value)

"""Pydantic models as values."""

import functools

import msgpack
import pytest

from async_cache.codec import Codec
from async_cache.exceptions import CorruptError, UnencodableError

pydantic = pytest.importorskip("pydantic")
codec = Codec()
MARK = msgpack.ExtType(42, b"")
fired: list[str] = []


def typed(*items: object) -> bytes:
    """Return a payload of format 2, written by hand."""
    return b"\x92\x02" + msgpack.packb([MARK, *items])


def name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


class Model(pydantic.BaseModel):
    x: int
    tags: list[str] = pydantic.Field(default_factory=list)
    _note: str = pydantic.PrivateAttr("none")

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @functools.cached_property
    def double(self) -> int:
        return self.x * 2


class Open(pydantic.BaseModel, extra="allow", frozen=True):
    x: int


class Strict(Model):
    inner: Model

    @pydantic.field_validator("x")
    @classmethod
    def never(cls, value: int) -> int:
        fired.append("validated")
        return value


class Slotted(pydantic.BaseModel):
    __slots__ = ("beside",)

    x: int


class Root(pydantic.RootModel[list[int]]):
    pass


@pydantic.dataclasses.dataclass
class Checked:
    x: int


def test_models_come_back_as_they_were() -> None:
    noted = Model(x=1, tags=["a"])
    noted._note = "seen"
    asked = Model(x=4)
    assert asked.double == 8
    for model in (Model(x=1), noted, asked, Open(x=1, more=(2,)), Strict(x=1, inner=noted), Checked(x=1), Root([1])):
        again = codec.decode(codec.encode([model]))[0]
        again = codec.decode(codec.encode([again]))[0]

        assert type(again) is type(model)
        assert again == model
        assert getattr(again, "model_fields_set", None) == getattr(model, "model_fields_set", None)

    assert codec.decode(codec.encode(noted))._note == "seen"


def test_reading_a_model_does_not_validate() -> None:
    data = codec.encode(Strict(x=1, inner=Model(x=2)))
    fired.clear()

    codec.decode(data)

    assert fired == []


def test_models_with_more_than_their_fields_are_refused() -> None:
    odd = Model(x=1)
    object.__setattr__(odd, "secret", 1)

    slotted = Slotted(x=1)
    object.__setattr__(slotted, "beside", 1)
    boasting = Model(x=1)
    boasting.__pydantic_fields_set__.add("unheard of")

    for model in (odd, slotted, boasting):
        with pytest.raises(UnencodableError):
            codec.encode(model)


@pytest.mark.parametrize(
    "parts",
    [
        ("y,tags", [], None, None, 1, []),
        ("x,tags", "x", None, None, 1, []),
        ("x,tags", ["z"], None, None, 1, []),
        ("x,tags", [], None, {"_other": 1}, 1, []),
        ("x,tags", [], "extra", None, 1, []),
        ("x,tags", [], None, None, 1),
    ],
)
def test_a_payload_with_other_fields_is_corrupt(parts: tuple[object, ...]) -> None:
    fields, *values = parts
    with pytest.raises(CorruptError):
        codec.decode(typed(f"pm:{name(Model)}({fields})", *values))

"""Pydantic models as values."""

import contextvars
import functools
import inspect
import subprocess
import sys
import typing

import msgpack
import pytest

from async_cache.codec import Codec
from async_cache.exceptions import CorruptError, UnencodableError

pydantic = pytest.importorskip("pydantic")
pydantic_core = pytest.importorskip("pydantic_core")
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


def test_models_are_decoded_unchanged() -> None:
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


def test_decoding_a_model_does_not_validate_it() -> None:
    data = codec.encode(Strict(x=1, inner=Model(x=2)))
    fired.clear()

    codec.decode(data)

    assert fired == []


def test_models_with_state_besides_their_fields_are_refused() -> None:
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


T = typing.TypeVar("T")


class Book(pydantic.BaseModel, typing.Generic[T]):
    content: T


class Choosy(pydantic.BaseModel, typing.Generic[T]):
    content: T

    @classmethod
    def __class_getitem__(cls, item: object) -> object:
        fired.append("asked")
        return super().__class_getitem__(item)


def book_of_lists() -> object:
    return Book[list[int | None]](content=[1, None])


def test_a_parametrised_model_is_decoded_in_a_process_that_has_not_created_its_class() -> None:
    data = codec.encode(book_of_lists())
    script = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        f"import {__name__} as here\n"
        f"again = here.codec.decode({data!r})\n"
        "print(again == here.book_of_lists(), type(again) is type(here.book_of_lists()))\n"
        "print(here.codec.canonical(again).hex())"
    )
    told = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert told == ["True", "True", codec.canonical(book_of_lists()).hex()]


def test_keys_of_parametrised_models_depend_on_the_parameters() -> None:
    alike = [Book[int](content=1), Book[int | str](content=1), Book[list[int] | int](content=1), Book(content=1)]
    assert len({codec.canonical(book) for book in alike}) == len(alike)


def test_a_generic_model_with_its_own_class_getitem_is_refused() -> None:
    local = [Choosy[list[int]](content=[1]), Book[typing.Annotated[int, "x"]](content=1)]
    for model in local:
        with pytest.raises(UnencodableError):
            codec.encode(model)


@pytest.mark.parametrize(
    "told",
    [
        [],
        "c",
        [["c", "os:system"]],
        [["c", f"{__name__}:nothing"]],
        [["t", "Any"]],
        [["t", "no_type_check"]],
        [["b", ["c", "builtins:int"], ["0"]]],
        [["p", "builtins:int", ["0"]]],
        [["?"]],
        [["0"], ["0"]],
    ],
)
def test_descriptions_of_parameters_that_lead_to_no_class_are_corrupt(told: object) -> None:
    with pytest.raises(CorruptError):
        codec.decode(typed(f"pg:{name(Book)}(content)", told, None, None, None, 1))
    with pytest.raises(CorruptError):
        codec.decode(typed(f"pg:{name(Book)}(other)", [["0"]], None, None, None, 1))


def test_a_payload_cannot_call_the_class_getitem_of_a_class() -> None:
    fired.clear()
    with pytest.raises(CorruptError):
        codec.decode(typed(f"pg:{name(Choosy)}(content)", [["0"]], None, None, None, 1))
    assert fired == []


@pytest.mark.parametrize(
    "parts",
    [
        ("pz", 1),
        ("pu", b"http://a/", False),
        ("pu", "no url", False),
        ("ph", 1, False),
        ("bs", "1"),
        ("ne", 1, 2),
        ("ur:pydantic.networks:AnyUrl(_url)", "http://a/"),
        ("ur:pydantic.networks:AnyUrl(_url)",),
        ("se:pydantic.types:SecretStr(other)", "x"),
        ("ip", "IPv4Address", 1),
        ("ip", "Path", "/"),
        ("re", 1, 0),
        ("re", "a", 128),
        ("re", "(", 0),
        ("dx:" + name(Model) + "(x,tags)", {}, 1, []),
    ],
)
def test_invalid_parts_of_pydantic_types_are_corrupt(parts: tuple[object, ...]) -> None:
    with pytest.raises(CorruptError):
        codec.decode(typed(*parts))


def test_a_dataclass_with_extra_attributes_accepts_plain_attributes_only() -> None:
    value = pydantic.TypeAdapter(Loose).validate_python({"x": 1, "more": (2,)})
    assert codec.decode(codec.encode(value)).more == (2,)
    for extra in ({"twice": 1}, {1: 1}, {"__class__": 1}, "x"):
        with pytest.raises(CorruptError):
            codec.decode(typed(f"dx:{name(Loose)}(x)", extra, 1))


@pydantic.dataclasses.dataclass(config=pydantic.ConfigDict(extra="allow"))
class Loose:
    x: int

    @property
    def twice(self) -> int:
        return self.x * 2


def test_a_name_with_an_email_address_is_decoded_unchanged() -> None:
    value = pydantic.NameEmail("Ann", "ann@example.com")
    again = codec.decode(codec.encode([value]))[0]
    assert (type(again), again) == (pydantic.NameEmail, value)
    assert codec.canonical(again) == codec.canonical(value)


def test_a_url_with_preserved_empty_path_is_decoded_unchanged() -> None:
    if "preserve_empty_path" not in str(inspect.signature(pydantic_core.Url)):
        pytest.skip("this version of pydantic always adds a path")
    url = pydantic_core.Url("http://example.com", preserve_empty_path=True)
    assert str(codec.decode(codec.encode(url))) == "http://example.com"


def test_a_parametrised_model_decoded_in_another_context_has_the_existing_class() -> None:
    """Some versions of pydantic make ``Book[int]`` anew in a context that has not made it."""
    made = contextvars.Context().run(lambda: Book[frozenset[int]](content=frozenset([1])))
    data = codec.encode(made)
    assert type(contextvars.Context().run(codec.decode, data)) is type(made)

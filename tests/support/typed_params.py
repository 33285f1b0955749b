"""Types of task parameters, with JSON for each: what pydantic makes of it has to survive a restart."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import ipaddress
import pathlib
import re
import typing
import uuid
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import pydantic
from typing_extensions import TypedDict

T = TypeVar("T")


@dataclasses.dataclass
class Item:
    price: Decimal
    when: dt.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    name: str


@dataclasses.dataclass(kw_only=True)
class Derived:
    side: int
    scale: dataclasses.InitVar[int] = 2
    area: int = dataclasses.field(init=False)

    def __post_init__(self, scale: int) -> None:
        self.area = self.side * scale


@dataclasses.dataclass
class Page(Generic[T]):
    items: list[T]


@pydantic.dataclasses.dataclass
class Checked:
    at: dt.datetime


@pydantic.dataclasses.dataclass(frozen=True, slots=True)
class CheckedSlotted:
    a: int


@pydantic.dataclasses.dataclass(config=pydantic.ConfigDict(extra="allow"))
class Open:
    a: int


@pydantic.dataclasses.dataclass
class CheckedPage(Generic[T]):
    items: list[T]


class Order(pydantic.BaseModel):
    id: int
    note: str = ""
    _seen: int = pydantic.PrivateAttr(default=5)

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.id * 2


class OpenOrder(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    id: int = 0


class Tree(pydantic.BaseModel):
    value: int
    children: list[Tree] = []


class Box(pydantic.BaseModel, Generic[T]):
    content: T


class Numbers(pydantic.RootModel[list[int]]):
    pass


class Pair(NamedTuple):
    left: int
    right: str = "x"


class Options(TypedDict, total=False):
    depth: int
    at: dt.datetime


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class ShopUrl(pydantic.AnyUrl):
    _constraints = pydantic.UrlConstraints(allowed_schemes=["shop"])


class Birthday(pydantic.Secret[dt.date]):
    def _display(self) -> str:
        return "****"


UTC_TEXT = '"2030-01-01T09:00:00Z"'

STORABLE: dict[str, tuple[Any, str]] = {
    "datetime in UTC": (dt.datetime, UTC_TEXT),
    "datetime with an offset": (dt.datetime, '"2030-01-01T09:00:00.5-03:30"'),
    "datetime without a zone": (dt.datetime, '"2030-01-01T09:00:00"'),
    "aware datetime": (pydantic.AwareDatetime, UTC_TEXT),
    "time with a zone": (dt.time, '"09:00:00+01:00"'),
    "date": (dt.date, '"2030-01-01"'),
    "timedelta": (dt.timedelta, '"P1DT2H"'),
    "zone": (zoneinfo.ZoneInfo, '"Europe/Oslo"'),
    "datetimes in containers": (dict[dt.datetime, list[dt.datetime]], f"{{{UTC_TEXT}: [{UTC_TEXT}]}}"),
    "set of datetimes": (set[dt.datetime], f"[{UTC_TEXT}]"),
    "optional": (dt.datetime | None, UTC_TEXT),
    "int": (int, "123456789012345678901234567890"),
    "float": (float, "1"),
    "Decimal": (Decimal, '"1.50"'),
    "Fraction": (Fraction, '"1/3"'),
    "complex": (complex, '"1+2j"'),
    "bytes": (bytes, '"abc"'),
    "base64": (pydantic.Base64Bytes, '"YWJj"'),
    "UUID": (uuid.UUID, '"6fa459ea-ee8a-4ca4-894e-db77e160355e"'),
    "Path": (pathlib.Path, '"/a/b"'),
    "PurePath": (pathlib.PurePath, '"a"'),
    "PureWindowsPath": (pathlib.PureWindowsPath, r'"c:\\a"'),
    "IPv4Address": (ipaddress.IPv4Address, '"1.2.3.4"'),
    "IPv6Address": (ipaddress.IPv6Address, '"fe80::1%eth0"'),
    "IPv4Network": (ipaddress.IPv4Network, '"1.2.3.0/24"'),
    "IPv6Network": (ipaddress.IPv6Network, '"2001:db8::/32"'),
    "IPv4Interface": (ipaddress.IPv4Interface, '"1.2.3.4/24"'),
    "IPv6Interface": (ipaddress.IPv6Interface, '"2001:db8::1/32"'),
    "any address": (pydantic.IPvAnyAddress, '"::1"'),
    "Pattern": (re.Pattern[str], '"(?i)a+"'),
    "deque": (collections.deque[int], "[1, 2]"),
    "set": (set[int], "[1]"),
    "frozenset": (frozenset[int], "[1]"),
    "tuple": (tuple[int, ...], "[1, 2]"),
    "OrderedDict": (collections.OrderedDict[str, int], '{"b": 1, "a": 2}'),
    "defaultdict of lists": (collections.defaultdict[str, list[int]], '{"a": [1]}'),
    "defaultdict of frozensets": (collections.defaultdict[str, typing.AbstractSet[int]], '{"a": [1]}'),
    "Counter": (collections.Counter[str], '{"a": 2}'),
    "Sequence": (typing.Sequence[int], "[1]"),
    "Mapping": (typing.Mapping[str, int], '{"a": 1}'),
    "NamedTuple": (Pair, '{"left": 1}'),
    "TypedDict": (Options, f'{{"at": {UTC_TEXT}}}'),
    "dataclass": (Item, f'{{"price": "1.50", "when": {UTC_TEXT}}}'),
    "dataclass, slots": (Slotted, '{"name": "x"}'),
    "dataclass, derived": (Derived, '{"side": 2, "scale": 3}'),
    "dataclass, generic": (Page[Item], '{"items": [{"price": "1"}]}'),
    "dataclass, pydantic": (Checked, f'{{"at": {UTC_TEXT}}}'),
    "dataclass, pydantic, slots": (CheckedSlotted, '{"a": 1}'),
    "dataclass, pydantic, open": (Open, '{"a": 1, "more": [1]}'),
    "dataclass, pydantic, generic": (CheckedPage[int], '{"items": [1]}'),
    "model": (Order, '{"id": 1}'),
    "model, open": (OpenOrder, '{"more": {"a": [1]}}'),
    "model, recursive": (Tree, '{"value": 1, "children": [{"value": 2}]}'),
    "model, root": (Numbers, "[1, 2]"),
    "Enum": (Color, '"red"'),
    "IntEnum": (Level, "1"),
    "StrEnum": (Word, '"yes"'),
    "Flag": (Rights, "3"),
    "IntFlag": (Bits, "3"),
    "Literal": (Literal["a", 1], '"a"'),
    "SecretStr": (pydantic.SecretStr, '"hunter2"'),
    "SecretBytes": (pydantic.SecretBytes, '"hunter2"'),
    "Secret": (pydantic.Secret[int], "5"),
    "secret of a class of one's own": (Birthday, '"2000-01-01"'),
    "AnyUrl": (pydantic.AnyUrl, '"ftp://user:secret@example.com/a?b=c#d"'),
    "HttpUrl": (pydantic.HttpUrl, '"https://exämple.com"'),
    "PostgresDsn": (pydantic.PostgresDsn, '"postgres://u:p@a:1,b:2/db"'),
    "url of a class of one's own": (ShopUrl, '"shop://a/"'),
    "ByteSize": (pydantic.ByteSize, '"1KiB"'),
    "Json": (pydantic.Json[list[dt.date]], '"[\\"2030-01-01\\"]"'),
    "constrained": (typing.Annotated[int, pydantic.Field(gt=0)], "1"),
    "union": (Order | Item, '{"price": "1.5"}'),
    "anything": (Any, '{"a": [1.5, null, true]}'),
}
"""By name: an annotation, and JSON for it."""


def made_where_it_is_used() -> dict[str, tuple[Any, str]]:
    """Return generic models that no module has a name for, as annotations written as text make them."""
    return {
        "model, generic": (Box[dt.datetime], f'{{"content": {UTC_TEXT}}}'),
        "model, generic, of models": (Box[Box[Order]], '{"content": {"content": {"id": 1}}}'),
        "model, generic, of an alias": (
            Box[dict[str, list[Item | None]]],
            '{"content": {"a": [null, {"price": "1"}]}}',
        ),
        "model, generic, of typing's": (Box[typing.List[Literal["a", 1]]], '{"content": ["a"]}'),  # noqa: UP006
        "model, generic, of a generic": (Box[Page[tuple[int, ...]]], '{"content": {"items": [[1]]}}'),
        "model, root, generic": (pydantic.RootModel[list[Slotted]], '[{"name": "x"}]'),
    }


def of_a_local_class() -> tuple[Any, str]:
    class Local(pydantic.BaseModel):
        id: int

    return Local, '{"id": 1}'


NOT_STORABLE: dict[str, tuple[Any, str]] = {
    "function": (pydantic.ImportString, '"math.sqrt"'),
    "class": (pydantic.ImportString, '"decimal.Decimal"'),
    "iterator": (typing.Iterable[int], "[1]"),
    "list of iterators": (list[typing.Iterable[int]], "[[1]]"),
    "local class": of_a_local_class(),
}
"""The same of what no file can hold."""

"""Read the imports of a source tree and name those that break the order of its house.

An import counts wherever it stands: inside a function, under ``TYPE_CHECKING`` or
spelled ``import_module("...")``, it is the same arrow.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True)
class House:
    """The declared order of a source tree.

    Attributes:
        floors: Rooms from top to bottom. A room is a module or a folder; it may use
            what lies below it, but neither what lies above nor its neighbours.
        guests: Foreign packages and the only room each may be imported in.
    """

    floors: tuple[tuple[str, ...], ...]
    guests: Mapping[str, str]

    def room_of(self, module: str) -> str | None:
        """Return the most closely fitting room; a whole package is no room for its modules."""
        fitting = [room for floor in self.floors for room in floor if _lies_in(module, room)]
        return max(fitting, key=len, default=None)

    def depth(self, room: str) -> int:
        """Return how many floors lie above the room."""
        return next(depth for depth, floor in enumerate(self.floors) if room in floor)


def broken_rules(root: Path, house: House) -> list[str]:
    """Return one line for each breach of the order in the tree; none for a sound one."""
    arrows = imports_of(root)
    return [
        *(f"{module}: has no place in the house" for module in arrows if house.room_of(module) is None),
        *_crossed_floors(arrows, house),
        *_stray_guests(arrows, house),
        *_cycle(arrows),
    ]


def imports_of(root: Path) -> dict[str, set[str]]:
    """Return what each module under the root imports, its own and foreign modules alike."""
    files = {_module_name(path.relative_to(root)): path for path in sorted(root.rglob("*.py"))}
    arrows: dict[str, set[str]] = {}
    for module, path in files.items():
        package = module if path.stem == "__init__" else module.rpartition(".")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        arrows[module] = set(_imported(tree, package, frozenset(files)))
    return arrows


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.AST, package: str, known: frozenset[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=name, names=names, level=level):
                source = _absolute("." * level + (name or ""), package)
                # `from package import module` points at the module, not at its package.
                for alias in names:
                    inner = f"{source}.{alias.name}"
                    yield inner if inner in known else source
            case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]) if _imports(function):
                yield _absolute(name, package)


def _imports(function: ast.expr) -> bool:
    return ast.unparse(function) in {"import_module", "importlib.import_module", "__import__"}


def _absolute(name: str, package: str) -> str:
    """Resolve a name with leading dots against the package that says it."""
    bare = name.lstrip(".")
    climbs = len(name) - len(bare)
    if not climbs:
        return name
    base = package.split(".")[: package.count(".") + 2 - climbs]
    return ".".join([*base, bare] if bare else base)


def _lies_in(module: str, room: str) -> bool:
    return module == room or ("." in room and module.startswith(f"{room}."))


def _crossed_floors(arrows: Mapping[str, set[str]], house: House) -> Iterator[str]:
    own = {module.partition(".")[0] for module in arrows}
    for module, targets in arrows.items():
        here = house.room_of(module)
        for target in sorted(target for target in targets if target.partition(".")[0] in own):
            there = house.room_of(target)
            if here is None or there is None or here == there:
                continue
            climb = house.depth(here) - house.depth(there)
            if climb >= 0:
                yield f"{module}: imports {'upward' if climb else 'sideways'}: {target}"


def _stray_guests(arrows: Mapping[str, set[str]], house: House) -> Iterator[str]:
    for module, targets in arrows.items():
        for guest in sorted({target.partition(".")[0] for target in targets} & house.guests.keys()):
            if not _lies_in(module, house.guests[guest]):
                yield f"{module}: imports {guest}, which belongs into {house.guests[guest]} only"


def _cycle(arrows: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield the first cycle found: mend it and the next one shows."""
    own = {module: targets & arrows.keys() for module, targets in arrows.items()}
    try:
        TopologicalSorter(own).prepare()
    except CycleError as error:
        # The sorter lists a module before those that import it.
        steps = [f"{user} -> {used}" for used, user in pairwise(error.args[1])]
        yield f"import cycle: {', '.join(reversed(steps))}"

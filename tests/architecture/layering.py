"""Read the imports of a source tree and report those that break its layering.

Every import counts: at the top of a module, inside a function, under ``TYPE_CHECKING``, or written
as ``import_module("...")``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True)
class Layering:
    """The declared layers of a source tree.

    Attributes:
        layers: From top to bottom, the units of each layer. A unit is a module or a folder. It may
            import units of the layers below, but neither those above nor those of its own layer.
        third_party: Third-party packages, each with the only unit that may import it.
    """

    layers: tuple[tuple[str, ...], ...]
    third_party: Mapping[str, str]

    def unit_of(self, module: str) -> str | None:
        """Return the smallest unit that the module is part of; a top-level package is not a unit for its modules."""
        fitting = [unit for layer in self.layers for unit in layer if _lies_in(module, unit)]
        return max(fitting, key=len, default=None)

    def depth(self, unit: str) -> int:
        """Return how many layers are above the unit."""
        return next(depth for depth, layer in enumerate(self.layers) if unit in layer)


def broken_rules(root: Path, layering: Layering) -> list[str]:
    """Return one line for each broken rule in the tree."""
    imports = imports_of(root)
    return [
        *(f"{module}: is in no layer" for module in imports if layering.unit_of(module) is None),
        *_upward_imports(imports, layering),
        *_misplaced_third_party(imports, layering),
        *_cycle(imports),
    ]


def imports_of(root: Path) -> dict[str, set[str]]:
    """Return the imports of each module under the root, third-party modules included."""
    files = {_module_name(path.relative_to(root)): path for path in sorted(root.rglob("*.py"))}
    imports: dict[str, set[str]] = {}
    for module, path in files.items():
        package = module if path.stem == "__init__" else module.rpartition(".")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        imports[module] = set(_imported(tree, package, frozenset(files)))
    return imports


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
    """Resolve a relative module name against the package that contains the import."""
    bare = name.lstrip(".")
    climbs = len(name) - len(bare)
    if not climbs:
        return name
    base = package.split(".")[: package.count(".") + 2 - climbs]
    return ".".join([*base, bare] if bare else base)


def _lies_in(module: str, unit: str) -> bool:
    return module == unit or ("." in unit and module.startswith(f"{unit}."))


def _upward_imports(imports: Mapping[str, set[str]], layering: Layering) -> Iterator[str]:
    own = {module.partition(".")[0] for module in imports}
    for module, targets in imports.items():
        here = layering.unit_of(module)
        for target in sorted(target for target in targets if target.partition(".")[0] in own):
            there = layering.unit_of(target)
            if here is None or there is None or here == there:
                continue
            climb = layering.depth(here) - layering.depth(there)
            if climb >= 0:
                yield f"{module}: imports {'upward' if climb else 'sideways'}: {target}"


def _misplaced_third_party(imports: Mapping[str, set[str]], layering: Layering) -> Iterator[str]:
    for module, targets in imports.items():
        for package in sorted({target.partition(".")[0] for target in targets} & layering.third_party.keys()):
            if not _lies_in(module, layering.third_party[package]):
                yield f"{module}: imports {package}, which only {layering.third_party[package]} may import"


def _cycle(imports: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield the first cycle found. When it is fixed, the next one is reported."""
    own = {module: targets & imports.keys() for module, targets in imports.items()}
    try:
        TopologicalSorter(own).prepare()
    except CycleError as error:
        # The sorter lists a module before those that import it.
        steps = [f"{user} -> {used}" for used, user in pairwise(error.args[1])]
        yield f"import cycle: {', '.join(reversed(steps))}"

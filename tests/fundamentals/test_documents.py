"""Everything the documents show is true: code runs and prints what they say, commands exist, links lead somewhere.

How a document tells what to do with a block is described in ``tests/support/documents.py``.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tests.support.documents import Chapter, chapters_of, commands_of
from tests.support.links import broken_links_of, internal_links_of
from tests.support.run_document import run_chapter

ROOT = Path(__file__).parents[2]
PAGES = [path for path in sorted((ROOT / "docs").glob("**/*.md")) if "_build" not in path.parts]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *PAGES]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


CHAPTERS = [
    pytest.param(chapter, id=f"{_name(path)}:{chapter.line}") for path in DOCUMENTS for chapter in chapters_of(path)
]
COMMANDS = [
    pytest.param(command, id=f"{_name(path)}:{line} {command}")
    for path in DOCUMENTS
    for line, command in commands_of(path)
]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_code_runs(chapter: Chapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_chapter(chapter)


def test_there_is_code_to_run_in_the_readme_and_in_docs() -> None:
    assert chapters_of(ROOT / "README.md")
    assert any(chapters_of(page) for page in PAGES)


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_every_internal_link_leads_somewhere(path: Path) -> None:
    assert broken_links_of(path) == []


def test_every_page_is_linked_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.target.partition("#")[0]).resolve() for link in internal_links_of(index)}
    assert {page for page in PAGES if page != index} <= linked


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_exists(command: str) -> None:
    """As far as that can be told without running it: targets, scripts and extras by name."""
    match [word for word in shlex.split(command) if "=" not in word]:
        case ["make", *targets]:
            assert {target for target in targets if not target.startswith("-")} <= _make_targets()
        case ["python" | "python3", "-m", *_]:
            pass
        case ["python" | "python3", script, *_]:
            assert (ROOT / script).is_file()
        case ["pip" | "uv", *words]:
            assert _extras_named(words) <= _project()["optional-dependencies"].keys()


def _make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def _extras_named(words: list[str]) -> set[str]:
    groups = [group for word in words for group in re.findall(r"\[([\w,-]+)\]", word)]
    return {extra for group in groups for extra in group.split(",")}


def _project() -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

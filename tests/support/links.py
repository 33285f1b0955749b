"""The links of a Markdown document and the anchors of its headings, by the rules of a forge."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

FENCED = re.compile(r"^( *)(`{3,}|:{3,}).*?^\1\2[ \t]*$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"(`+).+?\1", re.DOTALL)
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?([^()\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


class Link(NamedTuple):
    """A link of a document: the line on which it stands, and where it leads."""

    line: int
    target: str


def internal_links_of(path: Path) -> list[Link]:
    """Return the links of a document that lead to a file of the project or to an anchor."""
    text = CODE.sub(_blank, FENCED.sub(_blank, path.read_text(encoding="utf-8")))
    links = [Link(text.count("\n", 0, match.start()) + 1, match[1]) for match in LINK.finditer(text)]
    return [link for link in links if not EXTERNAL.match(link.target)]


def anchors_of(path: Path) -> set[str]:
    """Return the anchors that a forge gives the headings of a document; equal headings are numbered."""
    anchors: set[str] = set()
    for heading in HEADING.findall(FENCED.sub(_blank, path.read_text(encoding="utf-8"))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = unnumbered = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number = 0
        while anchor in anchors:
            number += 1
            anchor = f"{unnumbered}-{number}"
        anchors.add(anchor)
    return anchors


def broken_links_of(path: Path) -> list[str]:
    """Return the internal links of a document that lead nowhere, each with its line."""
    return [f"{path.name}:{link.line}: {link.target}" for link in internal_links_of(path) if not _leads(path, link)]


def _leads(path: Path, link: Link) -> bool:
    place, _, anchor = link.target.partition("#")
    target = (path.parent / place).resolve() if place else path
    if not target.exists():
        return False
    return not anchor or (target.suffix == ".md" and anchor in anchors_of(target))


def _blank(match: re.Match[str]) -> str:
    """Return as many line ends as the match has, so that lines keep their numbers."""
    return "\n" * match[0].count("\n")

"""The code blocks of a Markdown document, made runnable by remarks its reader does not see.

A remark is an HTML comment before a block. For ``python`` blocks:

* ``<!-- test: continue -->``: the block goes on in the names of the one before it;
* ``<!-- test: async -->``: it awaits at its top level. Continued blocks share one event loop;
* ``<!-- test: raises ValueError -->``: it ends with that error;
* ``<!-- test: until SIGTERM -->``: it runs in a process of its own, is sent the signal once it
  has printed its first line, and must exit with status 0;
* ``<!-- test: save NAME.py -->``: it is saved as that file, for a later block to run, and not run itself;
* ``<!-- test: setup`` ... ``-->``, over several lines: code to run before it, for names the
  document takes for granted;
* ``<!-- test: skip REASON -->``: it is not run, for the reason that must be given, such as a server it needs.

For the ``text`` block that shows what the python block before it prints:

* ``<!-- test: output -->``, in which ``...`` stands for anything.

Short ones can share a comment: ``<!-- test: continue, async -->``.

Every python block is run but those with a reason to skip them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

PIECE = re.compile(
    r"^<!--\s*test:(?P<remark>.*?)-->[ \t]*$"
    r"|^(?P<indent> *)```(?P<language>[\w+-]*)[^\n]*\n(?P<code>.*?)^(?P=indent)```[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
FENCE = re.compile(r"^ *```", re.MULTILINE)
PYTHON_REMARKS = frozenset({"continue", "async", "raises", "until", "setup", "skip", "save"})
WHOLE_REMARKS = ("setup", "skip")  # what follows may have commas of its own


class DocumentError(Exception):
    """A document says something about its blocks that makes no sense."""


@dataclass
class Block:
    """One fenced block.

    Attributes:
        line: The line of the document on which its code begins.
        remarks: What is remarked on it: the word, and what follows the word.
        output: What it should print, if the document says so.
    """

    path: Path
    line: int
    language: str
    code: str
    remarks: dict[str, str] = field(default_factory=dict)
    output: str | None = None

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.path.name}:{self.line}"


@dataclass
class Chapter:
    """A python block and those that continue it."""

    blocks: list[Block]

    @property
    def line(self) -> int:
        """The line of the document on which its code begins."""
        return self.blocks[0].line


def blocks_of(path: Path) -> list[Block]:
    """Return the fenced blocks of the document with the remarks on them, in order."""
    text = path.read_text(encoding="utf-8")
    blocks: list[Block] = []
    remarks: dict[str, str] = {}
    for piece in PIECE.finditer(text):
        line = text.count("\n", 0, piece.start()) + 1
        if piece["remark"] is not None:
            remarks |= _parsed(piece["remark"].strip())
            continue
        code = re.sub(rf"^{piece['indent']}", "", piece["code"], flags=re.MULTILINE)
        blocks.append(Block(path, line + 1, piece["language"], code, remarks))
        remarks = {}
    if 2 * len(blocks) != len(FENCE.findall(text)):
        raise DocumentError(f"{path.name}: a block is opened and not closed")
    if remarks:
        raise DocumentError(f"{path.name}: no block follows the last remark {remarks}")
    return blocks


def _parsed(remark: str) -> dict[str, str]:
    """Return each remark of a comment with what follows its first word."""
    parts = [remark] if remark.startswith(WHOLE_REMARKS) else remark.split(",")
    return {part.split()[0]: "".join(part.split(maxsplit=1)[1:]) for part in parts}


def chapters_of(path: Path) -> list[Chapter]:
    """Return what is to be run, in order, each block with the output the document shows for it."""
    chapters: list[Chapter] = []
    for block in blocks_of(path):
        if "output" in block.remarks:
            _attach_output(chapters, block)
        elif block.language == "python":
            _refuse_unknown_remarks(block)
            if "skip" in block.remarks:
                continue
            if "continue" not in block.remarks:
                chapters.append(Chapter([block]))
            elif chapters:
                chapters[-1].blocks.append(block)
            else:
                raise DocumentError(f"{block.place}: there is nothing to continue")
        elif block.remarks:
            raise DocumentError(f"{block.place}: remarks on a {block.language or 'plain'} block: {block.remarks}")
    return chapters


def commands_of(path: Path) -> list[tuple[int, str]]:
    """Return the commands of the document's shell blocks, each with the line on which it stands."""
    shells = [block for block in blocks_of(path) if block.language in {"bash", "sh", "console", "shell"}]
    return [
        (block.line + number, command)
        for block in shells
        for number, line in enumerate(block.code.splitlines())
        if (command := line.removeprefix("$ ").partition(" #")[0].strip()) and not command.startswith("#")
    ]


def _attach_output(chapters: list[Chapter], block: Block) -> None:
    if not chapters:
        raise DocumentError(f"{block.place}: no python block before it could have printed this")
    chapters[-1].blocks[-1].output = block.code


def _refuse_unknown_remarks(block: Block) -> None:
    if unknown := block.remarks.keys() - PYTHON_REMARKS:
        raise DocumentError(f"{block.place}: unknown remark {', '.join(sorted(unknown))}")
    if "skip" in block.remarks and not block.remarks["skip"]:
        raise DocumentError(f"{block.place}: skipped without a reason")

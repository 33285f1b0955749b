"""Configuration of the documentation: Sphinx, Markdown (MyST) and the furo theme. Builds without a network."""

import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

import async_task_worker

ROOT = Path(__file__).parents[1]

project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
author = "The async-task-worker authors"
copyright = author  # noqa: A001 - the name Sphinx reads
version = release = async_task_worker.__version__

extensions = ["myst_parser"]
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # headings get the anchors that a forge gives them

html_theme = "furo"
html_title = f"{project} {version}"
html_copy_source = False
html_show_sourcelink = False


def offer_files_outside_of_docs(_app: Sphinx, page: str, source: list[str]) -> None:
    """Turn links to Markdown files outside of docs, which are not pages here, into links to the files."""
    outside = "../" * (page.count("/") + 1)
    source[0] = re.sub(rf"\]\((?={re.escape(outside)}[^)#]*\.md\))", "](path:", source[0])


def setup(app: Sphinx) -> None:
    """Let Sphinx call what is defined here."""
    app.connect("source-read", offer_files_outside_of_docs)

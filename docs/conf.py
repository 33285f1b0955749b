"""Configuration of the documentation: Sphinx, Markdown (MyST) and the furo theme. Builds without a network."""

import sys
import tomllib
from pathlib import Path

import async_task_worker

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
author = "The async-task-worker authors"
copyright = author  # noqa: A001 - the name Sphinx reads
version = release = async_task_worker.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "http_requests", "links"]
exclude_patterns = ["_build", "_ext"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # headings get the anchors that a forge gives them

autodoc_preserve_defaults = True  # as written in the source
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"exclude-members": "__new__"}  # its signature says nothing that __init__ does not
autodoc_class_signature = "separated"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # `Attributes:` of a docstring become a list, not entries of their own

nitpick_ignore_regex = [
    (r"py:.*", r"(?!async_cache|async_task_worker).*"),  # the standard library and others: no network to look them up
    (r"py:.*", r"async_(cache|task_worker)\..*"),  # internal types in the signature of a public name
]

html_theme = "furo"
html_title = f"{project} {version}"
html_copy_source = False
html_show_sourcelink = False

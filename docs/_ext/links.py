"""Links that Sphinx does not resolve by itself: files outside of docs, and public names by where they are defined."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def offer_files_outside_of_docs(_app: Sphinx, page: str, source: list[str]) -> None:
    """Turn links to Markdown files outside of docs, which are not pages here, into links to the files."""
    outside = "../" * (page.count("/") + 1)
    source[0] = re.sub(rf"\]\((?={re.escape(outside)}[^)#]*\.md\))", "](path:", source[0])


def find_where_it_is_documented(
    app: Sphinx, environment: BuildEnvironment, reference: pending_xref, shown: nodes.Element
) -> nodes.Node | None:
    """Link a name such as ``async_task_worker.model.status.TaskInfo`` to ``async_task_worker.TaskInfo``."""
    package, _, name = reference.get("reftarget", "").partition(".")
    if reference.get("refdomain") != "py" or package not in {"async_cache", "async_task_worker"}:
        return None
    public = f"{package}.{name.rpartition('.')[2]}"
    entry = environment.domains.python_domain.objects.get(public)
    if entry is None:
        return None
    uri = app.builder.get_relative_uri(reference["refdoc"], entry.docname)
    link = nodes.reference("", "", internal=True, refuri=f"{uri}#{entry.node_id}")
    link.append(shown)
    return link


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the functions of this extension."""
    app.connect("source-read", offer_files_outside_of_docs)
    app.connect("missing-reference", find_where_it_is_documented)
    return {"parallel_read_safe": True}

"""The link checker follows links to files and headings as a forge does."""

from __future__ import annotations

from pathlib import Path

from tests.support.links import anchors_of, broken_links_of, internal_links_of

PAGE = """
# A page

## `add_task(func, *, priority=0)`

## History and retention

## History and retention

A [file](other.md), its [part](other.md#part-one), [below](#history-and-retention-1), a
[web page](https://example.org/nowhere), a ![picture](picture.svg "A picture") and `code [no](link.md)`.

```text
# no heading [no link](nowhere.md)
```
"""


def pages(folder: Path) -> Path:
    (folder / "other.md").write_text("# Other\n\n## Part one\n", encoding="utf-8")
    (folder / "picture.svg").write_text("<svg/>", encoding="utf-8")
    page = folder / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    return page


def test_links_are_found_outside_of_code_only(tmp_path: Path) -> None:
    assert [link.target for link in internal_links_of(pages(tmp_path))] == [
        "other.md",
        "other.md#part-one",
        "#history-and-retention-1",
        "picture.svg",
    ]


def test_a_link_has_the_line_on_which_it_stands(tmp_path: Path) -> None:
    assert [link.line for link in internal_links_of(pages(tmp_path))] == [10, 10, 10, 11]


def test_headings_get_the_anchors_of_a_forge(tmp_path: Path) -> None:
    assert anchors_of(pages(tmp_path)) == {
        "a-page",
        "add_taskfunc--priority0",
        "history-and-retention",
        "history-and-retention-1",
    }


def test_links_that_lead_somewhere_are_not_broken(tmp_path: Path) -> None:
    assert broken_links_of(pages(tmp_path)) == []


def test_links_to_a_missing_file_or_heading_are_broken(tmp_path: Path) -> None:
    page = pages(tmp_path)
    page.write_text("[a](gone.md)\n[b](other.md#part-two)\n[c](#nowhere)\n[d](picture.svg#part)\n", encoding="utf-8")
    assert broken_links_of(page) == [
        "page.md:1: gone.md",
        "page.md:2: other.md#part-two",
        "page.md:3: #nowhere",
        "page.md:4: picture.svg#part",
    ]

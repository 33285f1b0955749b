"""The document runner runs what it should, as the reader would, and refuses what it does not understand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.documents import DocumentError, chapters_of, commands_of
from tests.support.run_document import run_chapter

SAMPLE = """
# A sample

```python
import asyncio

count = 1

async def main():
    await asyncio.sleep(0)
    print("counted", count)

if __name__ == "__main__":
    asyncio.run(main())
```

<!-- test: output -->
```text
counted 1
```

<!-- test: continue -->
<!-- test: async -->
```python
loop = asyncio.get_running_loop()
print(await asyncio.sleep(0, count + 1))
```

It goes on, on the same loop, with a name from nowhere:

<!-- test: setup
def fetch(number):
    return number * 10
-->
<!-- test: continue, async -->
```python
assert asyncio.get_running_loop() is loop
print(fetch(count))
print("took 0.123 s")
```

<!-- test: output -->
```text
10
took ... s
```

* in a list

  ```python
  from __future__ import annotations
  names_of_others = "count" in globals()
  assert not names_of_others
  ```

Shown, not run:

```json
{"answer": 42}
```

```bash
make demo  # one command
$ pip install sample[fast]
```
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "SAMPLE.md"
    path.write_text(text, encoding="utf-8")
    return path


def run_all(folder: Path, text: str) -> None:
    for chapter in chapters_of(written(folder, text)):
        run_chapter(chapter)


def block(code: str, *remarks: str, output: str | None = None) -> str:
    lines = [*(f"<!-- test: {remark} -->" for remark in remarks), "```python", code, "```"]
    shown = [] if output is None else ["<!-- test: output -->", "```text", output, "```"]
    return "\n".join([*lines, *shown, ""])


def test_a_document_is_run_from_top_to_bottom(tmp_path: Path) -> None:
    run_all(tmp_path, SAMPLE)


def test_blocks_are_grouped_into_chapters_with_their_line(tmp_path: Path) -> None:
    first, second = chapters_of(written(tmp_path, SAMPLE))
    assert (first.line, len(first.blocks)) == (5, 3)
    assert (second.line, len(second.blocks)) == (51, 1)


def test_shell_commands_are_listed_with_their_place(tmp_path: Path) -> None:
    assert commands_of(written(tmp_path, SAMPLE)) == [
        (63, "make demo"),
        (64, "pip install sample[fast]"),
    ]


def test_an_error_points_at_the_line_of_the_document(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run_all(tmp_path, "one\ntwo\n" + block("x = 0\n1 / x"))
    assert caught.traceback[-1].path.name == "SAMPLE.md"
    assert caught.traceback[-1].lineno + 1 == 5


def test_output_that_differs_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the document shows\n3\n\nbut what is printed is\n2"):
        run_all(tmp_path, block("print(1 + 1)", output="3"))


def test_missing_output_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the document shows"):
        run_all(tmp_path, block("pass", output="something"))


def test_an_error_the_document_announces_is_expected(tmp_path: Path) -> None:
    run_all(tmp_path, block("int('x')", "raises ValueError"))
    with pytest.raises(AssertionError, match="did not raise ValueError"):
        run_all(tmp_path, block("int('1')", "raises ValueError"))
    with pytest.raises(ValueError, match="invalid literal"):
        run_all(tmp_path, block("int('x')", "raises KeyError"))


def test_a_name_from_an_earlier_chapter_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(NameError):
        run_all(tmp_path, block("x = 1") + block("print(x)"))


def test_a_block_with_a_reason_to_skip_it_is_not_run(tmp_path: Path) -> None:
    run_all(tmp_path, block("import nowhere", "skip needs a server, and time") + block("print(1)", output="1"))


def test_a_block_can_be_saved_for_a_later_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    later = block("import pathlib\nprint(pathlib.Path('program.py').read_text().strip())", "continue", output="1 / 0")
    run_all(tmp_path, block("1 / 0", "save program.py") + later)


def test_awaiting_at_the_top_needs_the_remark(tmp_path: Path) -> None:
    with pytest.raises(SyntaxError):
        run_all(tmp_path, block("import asyncio\nawait asyncio.sleep(0)"))


PROGRAM = """
import signal
import sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit({status}))
print("ready")
while True:
    signal.pause()
"""


def test_a_program_is_run_until_its_signal(tmp_path: Path) -> None:
    run_all(tmp_path, block(PROGRAM.format(status=0), "until SIGTERM", output="ready"))


def test_a_program_that_ends_badly_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="exit status 3"):
        run_all(tmp_path, block(PROGRAM.format(status=3), "until SIGTERM"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (block("pass", "slowly"), "unknown remark slowly"),
        (block("pass", "skip"), "skipped without a reason"),
        (block("pass", "continue"), "there is nothing to continue"),
        ("<!-- test: output -->\n```text\n1\n```\n", "no python block before it"),
        ("<!-- test: async -->\n```json\n1\n```\n", "remarks on a json block"),
        ("<!-- test: async -->\nprose only\n", "no block follows"),
        ("```python\npass\n", "opened and not closed"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(DocumentError, match=complaint):
        chapters_of(written(tmp_path, text))

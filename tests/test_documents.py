"""The documents say what is so: the application of the README is run, and what they name exists."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FOLDERS = ("src", "tests", "bench", "examples", "fuzz", "soak")
SOURCES = [str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]


def sources_named_in(text: str) -> Iterator[str]:
    """Give the paths of Python files with a folder, `runtime/{hub,client}.py` as two."""
    for path in re.findall(r"(?:[\w{},*]+/)+[\w{},*]+\.py\b", text):
        parts = [part.strip("{}").split(",") for part in re.findall(r"\{[^}]*\}|[^{}]+", path)]
        yield from map("".join, itertools.product(*parts))


def is_there(named: str) -> bool:
    """Tell whether a path, which may begin anywhere, is that of a file; `*` stands for a word."""
    pattern = re.compile("(.*/)?" + re.escape(named).replace(r"\*", r"\w*"))
    return any(pattern.fullmatch(path) for path in SOURCES)


def test_readme_shows_the_application_that_the_wheel_is_checked_with() -> None:
    """The first block of Python in the README is the text of `ten_lines.py`."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert (ROOT / "tests/wheel/ten_lines.py").read_text(encoding="utf-8") == blocks[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_document_names_files_that_exist(document: Path) -> None:
    """No relative link, picture or path of a source leads nowhere."""
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not (document.parent / link).exists()] == []
    assert [named for named in sources_named_in(text) if not is_there(named)] == []


def test_path_that_leads_nowhere_is_found() -> None:
    """The reader of paths knows one that is wrong, also in braces."""
    named = list(sources_named_in("`runtime/{hub,nothing}.py` and socketio/*_codec.py"))
    assert named == ["runtime/hub.py", "runtime/nothing.py", "socketio/*_codec.py"]
    assert [is_there(path) for path in named] == [True, False, True]

"""The pages on security and options are true: all options are there, and what the pages name exists.

    WRITE=1 pytest tests/test_security.py

writes their tables anew, after an option has changed.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
from pathlib import Path

import pytest

from carboy import config
from carboy.config import Config

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "security.md"
OPTIONS_PAGE = ROOT / "docs" / "options.md"
BEGIN, END = "<!-- written by tests/test_security.py -->\n", "<!-- end of the table -->"
BOUNDS = sorted({*config._COUNTS, *config._SECONDS})
OTHERS = [field.name for field in dataclasses.fields(Config) if field.name not in {*BOUNDS, "ping_grace"}]


def descriptions() -> dict[str, str]:
    """What the documentation of the class says about each option."""
    text = (inspect.getdoc(Config) or "").partition("Attributes:")[2]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in entries}


def shown(default: object) -> str:
    """A default as a reader would write it."""
    if default is None:
        return "none"
    if isinstance(default, str):
        return f"`{json.dumps(default)}`"
    if isinstance(default, bool):
        return f"`{default}`"
    if isinstance(default, tuple):
        return ", ".join(map(shown, default))
    return f"{default:,}".removesuffix(".0")


def table(names: list[str], what: str) -> str:
    """Options with their defaults and effects."""
    known = descriptions()
    lines = [f"| option | default | {what} |", "|---|---|---|"]
    lines += [f"| `{name}` | {shown(getattr(Config(), name))} | {known[name]} |" for name in names]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("page", "names", "what"), [(PAGE, BOUNDS, "what it bounds"), (OPTIONS_PAGE, OTHERS, "what it says")]
)
def test_page_has_every_option_with_its_default(page: Path, names: list[str], what: str) -> None:
    """The table is that of the class; a new option cannot be forgotten there."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    written, end, after = rest.partition(END)
    assert begin
    assert end
    if os.environ.get("WRITE"):
        page.write_text(before + begin + table(names, what) + end + after, encoding="utf-8")
        return
    assert written == table(names, what), "an option has changed: WRITE=1 pytest tests/test_security.py"


def test_every_option_that_bounds_is_in_the_table() -> None:
    """Whatever is called a maximum, a timeout or a number of threads has its row."""
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    names = {name for name in descriptions() if re.search(r"max_|_timeout$|_threads$", name)}
    assert names <= rows
    assert len(rows) > 10


def test_files_that_the_page_names_exist() -> None:
    """A reader who follows the page finds what it speaks of."""
    text = PAGE.read_text(encoding="utf-8") + (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:tests|docs)/[\w./]+)`|\]\((docs/[\w./]+)\)", text):
        assert (ROOT / "".join(name)).exists()
    for name in re.findall(r"`(test_\w+\.py)`", text):
        assert list(ROOT.glob(f"tests/**/{name}"))

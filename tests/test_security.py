"""The page on security is true: it has every bound with its default, and what it names exists.

    WRITE=1 pytest tests/test_security.py

writes the table of bounds anew, after an option has changed.
"""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path

from carboy import config
from carboy.config import Config

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- bounds: written by tests/test_security.py -->\n", "<!-- end of bounds -->"


def descriptions() -> dict[str, str]:
    """What the documentation of the class says about each option."""
    text = (inspect.getdoc(Config) or "").partition("Attributes:")[2]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    return {name: " ".join(words.split()) for name, words in entries}


def table() -> str:
    """Every option that bounds something, with its default and its effect."""
    known = descriptions()
    lines = ["| option | default | what it bounds |", "|---|---|---|"]
    for name in sorted({*config._COUNTS, *config._SECONDS}):
        default = getattr(Config(), name)
        shown = "none" if default is None else f"{default:,}".removesuffix(".0")
        lines.append(f"| `{name}` | {shown} | {known[name]} |")
    return "\n".join(lines) + "\n"


def test_page_has_every_bound_with_its_default() -> None:
    """The table is that of the options; a new bound cannot be forgotten there."""
    text = PAGE.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    written, end, after = rest.partition(END)
    assert begin
    assert end
    if os.environ.get("WRITE"):
        PAGE.write_text(before + begin + table() + end + after, encoding="utf-8")
        return
    assert written == table(), "an option has changed: WRITE=1 pytest tests/test_security.py"


def test_every_option_that_bounds_is_in_the_table() -> None:
    """Whatever is called a maximum, a timeout or a number of threads has its row."""
    shown = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    names = {name for name in descriptions() if re.search(r"max_|_timeout$|_threads$", name)}
    assert names <= shown
    assert len(shown) > 10


def test_files_that_the_page_names_exist() -> None:
    """A reader who follows the page finds what it speaks of."""
    text = PAGE.read_text(encoding="utf-8") + (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:tests|docs)/[\w./]+)`|\]\((docs/[\w./]+)\)", text):
        assert (ROOT / "".join(name)).exists()
    for name in re.findall(r"`(test_\w+\.py)`", text):
        assert list(ROOT.glob(f"tests/**/{name}"))

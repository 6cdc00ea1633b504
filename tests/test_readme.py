"""The README shows what is tested: its application is the one that is run against the built wheel."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_readme_shows_the_application_that_the_wheel_is_checked_with() -> None:
    """The first block of Python in the README is the text of `ten_lines.py`."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert (ROOT / "tests/wheel/ten_lines.py").read_text(encoding="utf-8") == blocks[0]


def test_readme_links_to_files_that_exist() -> None:
    """No relative link or picture of the README leads nowhere."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []

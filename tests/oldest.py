"""Prints a constraints file that holds every dependency at its lower bound, for `pip install --constraint`.

    python oldest.py > constraints.txt

The bounds are those of the package and of its extras in pyproject.toml; the tools of the tests stay new.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
BOUND = re.compile(r"^(?P<name>[\w.-]+)(\[[^\]]*\])?\s*>=\s*(?P<version>[\w.]+)\s*(?P<marker>;.*)?$")


def constraints(project: dict) -> list[str]:
    """Return a line for each dependency of the project, and fail on one without a plain lower bound."""
    extras = [
        entry
        for entries in project["optional-dependencies"].values()
        for entry in entries
        if not entry.startswith(f"{project['name']}[")  # an extra that is several others
    ]
    lines = []
    for entry in [*project["dependencies"], *extras]:
        match = BOUND.match(entry)
        if not match:
            raise SystemExit(f"pyproject.toml: {entry!r} needs the form name>=version")
        lines.append(f"{match['name']}=={match['version']}{match['marker'] or ''}")
    return lines


if __name__ == "__main__":
    print("\n".join(constraints(tomllib.loads(PYPROJECT.read_text())["project"])))

"""The systemd unit and the container file of `docs/deployment.md`."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_front_ends import DOCUMENT, EXAMPLES, FRONT_ENDS


def block(language: str) -> str:
    """Return the one block of the document in a language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return str(found[0])


def is_tried_out(arguments: list[str]) -> bool:
    """Tell whether a command stands in the table of front ends, but for names and the address."""
    general = shlex.join(arguments).replace(
        "0.0.0.0", "127.0.0.1"
    )  # a container's port is reached from outside
    for example, name in EXAMPLES.items():
        general = general.replace(example, name)
    return general in {front_end.command for front_end in FRONT_ENDS}


def test_unit_has_nothing_that_systemd_does_not_know(tmp_path: Path) -> None:
    """No key is misspelt and no value is refused."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("NOT TESTED: systemd-analyze is not installed")
    unit = tmp_path / "carboy-application.service"
    unit.write_text(block("ini").replace("/srv/app/venv/bin/gunicorn", sys.executable))
    said = subprocess.run([analyze, "verify", str(unit)], check=False, capture_output=True, text=True)
    assert unit.stem not in said.stdout + said.stderr


def test_unit_starts_a_command_that_is_tried_out() -> None:
    """What systemd starts is in the table of front ends."""
    (command,) = re.findall(r"^ExecStart=/srv/app/venv/bin/(.+)$", block("ini"), re.MULTILINE)
    assert is_tried_out(command.split())


def test_container_starts_a_command_that_is_tried_out() -> None:
    """What the container starts is in the table of front ends."""
    (command,) = re.findall(r"^CMD (.+)$", block("dockerfile"), re.MULTILINE)
    assert is_tried_out(json.loads(command))

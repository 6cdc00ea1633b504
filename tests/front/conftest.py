"""Fixtures of the tests that serve on loopback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import serving  # found by the line above under every import mode


@pytest.fixture(scope="module")
def site() -> Iterator[serving.Site]:
    """Serve one application for all tests of a file."""
    with serving.serve() as running:
        yield running


@pytest.fixture(autouse=True)
def forgotten(request: pytest.FixtureRequest) -> None:
    """Begin each test with an empty record of what the handlers saw."""
    if "site" in request.fixturenames:
        request.getfixturevalue("site").forget()

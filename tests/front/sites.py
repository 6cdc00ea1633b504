"""Fixtures of the tests that share one application on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import serving


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

"""What all end-to-end tests share: their helpers are found, and no server logs a traceback unnoticed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import servers  # found by the line above under every import mode


@pytest.fixture(autouse=True)
def quiet_logs(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test during which a server logged a traceback that nobody provoked on purpose."""
    yield
    marker = request.node.get_closest_marker("allow_traceback")
    allowed = marker.args[0] if marker else None
    found = []
    for server in tuple(servers.RUNNING):  # threads add to it meanwhile
        ended = server.returncode is not None
        found += server.unexpected_tracebacks(allowed)
        if ended:
            servers.RUNNING.remove(server)
    if found:
        pytest.fail("the server logged:\n" + "\n".join(found), pytrace=False)

"""What all attacks share: a server whose log is read, and a client beside the attacker."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "e2e"))
sys.path.insert(0, str(Path(__file__).parent.parent / "front"))
sys.path.insert(0, str(Path(__file__).parent))

import serving  # found by the lines above under every import mode
from attacked import Lines, Target

LOGGERS = ("uvicorn.error", "asyncio")


@pytest.fixture(scope="module")
def make_target() -> Iterator[Callable[..., Target]]:
    """Serve with options; every server of a file ends with it."""
    ends: list[Any] = []
    handler = Lines()
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)

    def make(prepare: Callable[[Any], Any] = lambda server: None, **options: Any) -> Target:
        logger = logging.Logger("under attack", logging.WARNING)  # noqa: LOG001  # nobody else's
        logger.addHandler(handler)
        server = serving.make_server(logger=logger, **options)
        prepare(server)
        serve = serving.serve(server)
        ends.append(serve)
        target = Target(serve.__enter__(), handler)
        target.begin()
        return target

    yield make
    for serve in reversed(ends):
        serve.__exit__(None, None, None)
    for name in LOGGERS:
        logging.getLogger(name).removeHandler(handler)


@pytest.fixture(scope="module")
def shared(make_target: Callable[..., Target]) -> Target:
    """One server with the default options for all tests of a file."""
    return make_target()


@pytest.fixture
def target(shared: Target) -> Iterator[Target]:
    """That server with a client beside the attacker, which notices nothing; afterwards nothing is left."""
    shared.begin()
    with shared.site.websocket() as bystander:
        yield shared
        began = time.monotonic()
        bystander.send_text('421["echo",1]')
        assert bystander.read_text() == "431[1]"
        assert time.monotonic() - began < 3  # a second, and what a busy machine may add
    shared.wait_for_nothing()
    assert shared.lines.tracebacks == []

"""The stock JavaScript client against one application for each topic, over every transport."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import javascript
import pytest
import servers

# A topic is an application and a case of the same name.
TOPICS = sorted(
    case.stem
    for case in javascript.CASES.glob("*.mjs")
    if (servers.APPLICATIONS / f"{case.stem}.py").exists()
)
CHECKS = [
    pytest.param(topic, mode, name, id=f"{topic}-{mode}-{name.replace(' ', '-')}")
    for topic in TOPICS
    for mode in javascript.MODES
    for its_mode, name in javascript.checks(topic)
    if its_mode == mode
]


class Reports:
    """Runs each case once in each mode, with one server for all modes of a topic."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._topic = ""
        self._reports: dict[tuple[str, str], javascript.Report] = {}

    def of(self, topic: str, mode: str) -> javascript.Report:
        """Return what the case of a topic reported in a mode."""
        if topic != self._topic:
            javascript.require_node()
            self._stack.close()
            self._topic = topic
            self._server = self._stack.enter_context(servers.serve(f"{topic}.py"))
        if (topic, mode) not in self._reports:
            self._reports[topic, mode] = javascript.run(topic, self._server.url, mode)
        return self._reports[topic, mode]


@pytest.fixture(scope="module")
def reports() -> Iterator[Reports]:
    """The reports of this module's cases."""
    with ExitStack() as stack:
        yield Reports(stack)


@pytest.mark.allow_traceback("on purpose")
@pytest.mark.parametrize(("topic", "mode", "check"), CHECKS)
def test_javascript_client_finds(reports: Reports, topic: str, mode: str, check: str) -> None:
    """What the name of the check says holds for the stock client, on that transport."""
    reports.of(topic, mode).verify(check)

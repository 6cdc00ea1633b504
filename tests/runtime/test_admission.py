"""How many engine sessions there may be."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from carboy.config import Config
from carboy.exceptions import RequestError
from carboy.runtime.admission import Admission, network_of
from carboy.runtime.log import Log


def make(logger: logging.Logger, **options: Any) -> Admission:
    """Make the counts of a server with these options."""
    return Admission(Config.from_options(options), Log(logger))


def address(text: str) -> dict[str, Any]:
    """Return the environment of a peer."""
    return {"REMOTE_ADDR": text}


def refused(admission: Admission, connected: int, environ: dict[str, Any]) -> bool:
    """Tell whether a session is refused."""
    try:
        admission.check_session(connected, environ)
    except RequestError:
        return True
    return False


def test_sessions_are_bounded_in_all(logger: logging.Logger, lines: list[logging.LogRecord]) -> None:
    """The one past the bound is refused, and a line names the option."""
    admission = make(logger, max_connections=2)
    assert [refused(admission, connected, address("192.0.2.1")) for connected in range(4)] == [
        False,
        False,
        True,
        True,
    ]
    assert [line.getMessage() for line in lines] == [
        "Refusing new clients: there are 2 (option max_connections)"
    ]


def test_unconnected_sessions_are_bounded(logger: logging.Logger, lines: list[logging.LogRecord]) -> None:
    """Those that joined something do not count."""
    admission = make(logger, max_unconnected=2)
    admission.unconnected = 2
    assert refused(admission, 500, {})
    admission.unconnected = 1
    assert not refused(admission, 500, {})
    assert "max_unconnected" in lines[0].getMessage()


def test_handshakes_that_wait_for_the_application_are_bounded(logger: logging.Logger) -> None:
    """Whatever sessions there are, which are another matter."""
    admission = make(logger, max_unconnected=2)
    admission.unconnected, admission.handshakes = 0, 2
    admission.check_handshake(lambda: True)
    with pytest.raises(RequestError) as refusal:
        admission.check_handshake(lambda: False)
    assert (refusal.value.status, refusal.value.code) == (503, 3)
    admission.unconnected, admission.handshakes = 5, 1
    admission.check_handshake(lambda: False)


def test_sessions_are_bounded_per_address(logger: logging.Logger) -> None:
    """Each address for itself; who leaves makes room."""
    admission = make(logger, max_connections_per_address=2)
    ours, theirs = address("192.0.2.1"), address("192.0.2.2")
    admission.enter(ours)
    admission.enter(ours)
    assert refused(admission, 2, ours)
    assert not refused(admission, 2, theirs)
    admission.leave(ours)
    assert not refused(admission, 1, ours)
    admission.leave(ours)
    assert not admission._addresses


def test_without_a_bound_no_address_is_kept(logger: logging.Logger) -> None:
    """It is off by default."""
    admission = make(logger)
    admission.enter(address("192.0.2.1"))
    assert not admission._addresses
    admission.leave(address("192.0.2.1"))


def test_forked_process_begins_anew(logger: logging.Logger) -> None:
    """The sessions are the other process's."""
    admission = make(logger, max_connections_per_address=1)
    admission.enter(address("192.0.2.1"))
    admission.unconnected = admission.handshakes = 1
    admission.clear()
    assert (dict(admission._addresses), admission.unconnected, admission.handshakes) == ({}, 0, 0)


@pytest.mark.parametrize(
    ("given", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unknown:1", "unknown:1"),
        ("", ""),
        (None, ""),
    ],
)
def test_network_is_what_one_peer_can_choose_from(given: str | None, network: str) -> None:
    """A provider gives each customer a /64 of IPv6, so that is one peer."""
    assert network_of({"REMOTE_ADDR": given}) == network

"""How many engine sessions there may be: in all, from one address, and of those that have joined nothing yet.

It counts and refuses; who comes and goes is the server's to tell. Everything here happens in the loop's
thread.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable
from typing import Any

from carboy.config import Config
from carboy.exceptions import RequestError
from carboy.runtime.log import Log

BUSY = 503
"""The status of the answer (RFC 9110 section 15.6.4): a client may come again, and the official ones do."""


class Admission:
    """The counts of one server.

    Args:
        config: the options, whose bounds hold.
        log: where a bound that is reached is told.

    Attributes:
        unconnected: sessions that have not joined a namespace.
        handshakes: requests that are being looked at, by middleware or a callable of the application's.
    """

    def __init__(self, config: Config, log: Log) -> None:
        self._config = config
        self._log = log
        self._per_address = config.max_connections_per_address
        self._addresses: Counter[str] = Counter()
        self.unconnected = 0
        self.handshakes = 0

    def check_handshake(self, goes_on: Callable[[], bool]) -> None:
        """Refuses a request while too many are looked at.

        Args:
            goes_on: whether the request belongs to a session that there is, which is let in; asked last.

        Raises:
            RequestError: if it is refused.
        """
        if self.handshakes >= self._config.max_unconnected and not goes_on():
            raise self._refusal("max_unconnected", self.handshakes)

    def check_session(self, connected: int, environ: dict[str, Any]) -> None:
        """Refuses a new session that is past a bound.

        Args:
            connected: sessions that there are.
            environ: the WSGI environment of its handshake.

        Raises:
            RequestError: if it is refused.
        """
        config = self._config
        if connected >= config.max_connections:
            raise self._refusal("max_connections", connected)
        if self.unconnected >= config.max_unconnected:
            raise self._refusal("max_unconnected", self.unconnected)
        if self._per_address is not None and self._addresses[network_of(environ)] >= self._per_address:
            raise self._refusal("max_connections_per_address", self._per_address)

    def enter(self, environ: dict[str, Any]) -> None:
        """Counts a new session."""
        if self._per_address is not None:
            self._addresses[network_of(environ)] += 1

    def leave(self, environ: dict[str, Any]) -> None:
        """Counts a session out."""
        if self._per_address is not None:
            network = network_of(environ)
            self._addresses[network] -= 1
            if self._addresses[network] <= 0:
                del self._addresses[network]

    def clear(self) -> None:
        """Forgets every session, in a process that was forked."""
        self._addresses.clear()
        self.unconnected = self.handshakes = 0

    def _refusal(self, option: str, count: int) -> RequestError:
        self._log.rarely(option, "Refusing new clients: there are %d (option %s)", count, option)
        return RequestError(3, "Too many connections", BUSY)


def network_of(environ: dict[str, Any]) -> str:
    """Returns the address of a peer; for IPv6 its /64 network, of which one peer may use every address."""
    address = str(environ.get("REMOTE_ADDR") or "")
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))

"""The packets of Engine.IO v4 and the websocket frames that a server puts around them.

Must not know payloads (several packets in one body), sessions, or what a message means.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence

# The types of protocol revision 4. Plain integers: they are compared for every packet that arrives.
OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = range(7)

OPEN_PACKET, CLOSE_PACKET, PING_PACKET, PONG_PACKET, MESSAGE_PACKET, UPGRADE_PACKET, NOOP_PACKET = (
    b"%d" % packet_type for packet_type in range(7)
)

PROBE_PACKET = b"2probe"
"""The first packet of a client on the websocket to which it wants to move."""

PROBE_ANSWER_PACKET = b"3probe"
"""The server's answer to it."""

# RFC 6455 section 5.2: FIN with the opcode, then the length, of which there are 126 short ones.
_TEXT_HEADS = tuple(bytes((0x81, length)) for length in range(126))
_BINARY_HEADS = tuple(bytes((0x82, length)) for length in range(126))


def encode_open(
    sid: str, upgrades: Sequence[str], ping_interval: float, ping_timeout: float, max_payload: int
) -> bytes:
    """Encodes the packet that opens a session.

    Args:
        sid: the id of the session.
        upgrades: the transports to which the client may move.
        ping_interval: seconds between two pings, as the client is to believe.
        ping_timeout: seconds that a ping may be late.
        max_payload: bytes of one message or body that the server takes.

    Returns:
        The packet, its five keys in the order in which Node writes them and its times in whole milliseconds.
    """
    rest = _open_rest(tuple(upgrades), ping_interval, ping_timeout, max_payload)
    return b'0{"sid":%b,%b' % (json.dumps(sid).encode(), rest)


@functools.lru_cache(maxsize=16)
def _open_rest(
    upgrades: tuple[str, ...], ping_interval: float, ping_timeout: float, max_payload: int
) -> bytes:
    """Encodes what the packets of all sessions have in common."""
    rest = {
        "upgrades": upgrades,
        "pingInterval": _milliseconds(ping_interval),
        "pingTimeout": _milliseconds(ping_timeout),
        "maxPayload": max_payload,
    }
    return json.dumps(rest, separators=(",", ":")).encode()[1:]


def frame_text(payload: bytes) -> bytes:
    """Puts one unmasked text frame around `payload` (RFC 6455 section 5.2)."""
    length = len(payload)
    if length < 126:
        return _TEXT_HEADS[length] + payload
    return _long_head(b"\x81", length) + payload


def frame_binary(payload: bytes) -> bytes:
    """Puts one unmasked binary frame around `payload` (RFC 6455 section 5.2)."""
    length = len(payload)
    if length < 126:
        return _BINARY_HEADS[length] + payload
    return _long_head(b"\x82", length) + payload


def _long_head(opcode: bytes, length: int) -> bytes:
    if length < 65536:
        return opcode + b"\x7e" + length.to_bytes(2, "big")
    return opcode + b"\x7f" + length.to_bytes(8, "big")


def _milliseconds(seconds: float) -> int:
    # A client that is told 0 would give up at once.
    return max(1, round(seconds * 1000))

"""Socket.IO packets: their types, the rules that their contents obey, and what a codec is.

Knows no encoding: the rules hold for JSON and for MessagePack alike. A packet is a plain tuple, because one
is made for every event that arrives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from carboy.exceptions import LimitError, PacketError

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)

# Type, namespace, acknowledgement id, data. A complete packet is never of a BINARY type.
Packet = tuple[int, str, int | None, Any]

# The text message, if there is one, and the binary messages that follow it in this order.
Encoded = tuple[bytes | None, tuple[bytes, ...]]

# Names that a peer must not send, because they are those of the lifecycle (Node behaviour: RESERVED_EVENTS).
RESERVED_EVENTS = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)

_QUOTED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderLimits:
    """What one packet of a peer may cost.

    Attributes:
        max_attachments: binary attachments of one packet.
        max_attachment_bytes: bytes of all attachments of one packet together.
        max_id_digits: digits of an acknowledgement id and of a number of attachments.
        max_namespace_length: characters in the name of a namespace.
        max_depth: levels of arrays and objects within one another.
    """

    max_attachments: int
    max_attachment_bytes: int
    max_id_digits: int
    max_namespace_length: int
    max_depth: int


class Incomplete(Protocol):
    """The beginning of a packet whose attachments are still to come."""

    def add(self, attachment: bytes) -> Packet | None:
        """Takes the next attachment.

        Returns:
            The packet once it is complete.

        Raises:
            LimitError: if the attachments are too large.
        """


class Codec(Protocol):
    """Turns packets into messages and messages into packets. One codec serves all threads of a server."""

    def encode(self, type: int, namespace: str, id: int | None, data: Any, prefix: bytes = b"") -> Encoded:
        """Writes a packet.

        Args:
            type: CONNECT, DISCONNECT, EVENT, ACK or CONNECT_ERROR; never a BINARY type.
            namespace: the name, with its leading slash.
            id: the acknowledgement id, or None.
            data: the list [event, *args], the list of arguments of an ACK, a dict, or None.
            prefix: what stands before the text, so that nobody has to join them afterwards.

        Returns:
            The text message and the binary messages.

        Raises:
            TypeError: if the data hold a value that the encoding has no form for; the message names its type.
            ValueError: if the data contain themselves or are nested too deeply to be written.
        """

    def decode_text(self, message: bytes, offset: int = 0) -> Packet | Incomplete:
        """Reads a text message.

        Args:
            message: the UTF-8 bytes.
            offset: where in them the packet begins.

        Returns:
            The packet, or the beginning of one whose attachments are still to come.

        Raises:
            PacketError: if it is not a packet.
            LimitError: if it is past one of the limits.
        """

    def decode_binary(self, message: bytes) -> Packet:
        """Reads a binary message that is no attachment.

        Raises:
            PacketError: if it is not a packet.
            LimitError: if it is past one of the limits.
        """


def check_packet(type: int, data: Any) -> Any:
    """Checks that data fit a type of packet.

    Stricter than Node, which takes an EVENT without any payload and fractions as the names of events.

    Args:
        type: CONNECT, DISCONNECT, EVENT, ACK or CONNECT_ERROR.
        data: what was decoded, None for no payload.

    Returns:
        The data; an empty list for an ACK without payload.

    Raises:
        PacketError: if they do not fit.
    """
    if type == EVENT:
        _check_event(data)
    elif type == ACK:
        if data is None:
            return []
        _require(isinstance(data, list), "an ACK needs an array")
    elif type == CONNECT:
        _require(data is None or isinstance(data, dict), "a CONNECT needs an object or nothing")
    elif type == DISCONNECT:
        _require(data is None, "a DISCONNECT needs nothing more")
    else:
        _require(isinstance(data, (str, dict)), "a CONNECT_ERROR needs an object or a string")
    return data


def _check_event(data: Any) -> None:
    if not isinstance(data, list) or not data:
        raise PacketError("an EVENT needs an array that is not empty")
    name = data[0]
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        raise PacketError("the name of an event must be a string or an integer")
    if name in RESERVED_EVENTS:
        raise PacketError(f"the event name {quote(name)} is reserved")


def clean_namespace(name: str, max_length: int) -> str:
    """Checks the name of a namespace as a peer wrote it.

    A query ("/chat?token=x"), which clients of older protocols append, is dropped as Flask-SocketIO does.

    Args:
        name: what the peer wrote.
        max_length: characters that are allowed, without the query.

    Returns:
        The name without the query.

    Raises:
        PacketError: if it does not begin with a slash.
        LimitError: if it is too long.
    """
    name = name.partition("?")[0]
    if len(name) > max_length:
        raise LimitError(f"the name of a namespace has {len(name)} characters", option="max_namespace_length")
    if not name.startswith("/"):
        raise PacketError(f"{quote(name)} is not the name of a namespace")
    return name


def quote(text: str | bytes) -> str:
    """Shows what a peer sent in an error message: escaped, and never more than 50 characters."""
    return repr(text[:_QUOTED])[:_QUOTED]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise PacketError(message)

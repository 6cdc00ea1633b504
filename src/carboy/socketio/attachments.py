"""Binary attachments: bytes leave the data for messages of their own, and placeholders mark where they stood.

Socket.IO protocol version 5, "Sending binary data"; attachments are in order of appearance, depth first.
Nothing here reads or writes text.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from carboy.exceptions import LimitError, PacketError
from carboy.socketio.packets import DecoderLimits, Packet


class Attachments(list[bytes]):
    """The attachments of one packet in the making. Calling it is the hook for what JSON has no form for.

    A list that can be called: a third cheaper than a closure over a list, and one is made for every packet.
    """

    __slots__ = ()

    def __call__(self, value: Any) -> Any:
        """Replaces what the encoder met and could not write.

        Raises:
            TypeError: if there is no replacement.
        """
        if isinstance(value, tuple):
            return list(value)
        placeholder = self.detach(value)
        if placeholder is value:
            raise TypeError(unserializable(value))
        return placeholder

    def detach(self, value: Any) -> Any:
        """Keeps a copy of a bytes-like value and returns its placeholder; any other value comes back."""
        if not isinstance(value, (bytes, bytearray, memoryview)):
            return value
        # A copy, unless it cannot change: the message may wait in an output buffer while the caller goes on.
        self.append(bytes(value))
        return {"_placeholder": True, "num": len(self) - 1}


def unserializable(value: object) -> str:
    """The message for a value that the encoding has no form for, in the standard library's words."""
    return f"Object of type {type(value).__name__} is not JSON serializable"


def replace_leaves(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """Applies a function to every value that is not a container, depth first.

    Args:
        value: dicts, lists and tuples, and whatever they hold.
        leaf: returns the replacement, or the same object for none.

    Returns:
        The same object where nothing below was replaced, else a copy (tuples become lists).

    Raises:
        RecursionError: if the value contains itself or is nested too deeply.
    """
    if isinstance(value, dict):
        replaced = {key: new for key, old in value.items() if (new := replace_leaves(old, leaf)) is not old}
        return {**value, **replaced} if replaced else value
    if isinstance(value, (list, tuple)):
        items = [replace_leaves(item, leaf) for item in value]
        return items if any(map(operator.is_not, items, value)) else value
    return leaf(value)


class PartialPacket:
    """A packet whose attachments have not all arrived.

    The placeholders are found and checked at once, so that a packet that cannot be completed buffers nothing.

    Args:
        packet: the packet as its text gives it, of type EVENT or ACK.
        count: attachments that follow, at least 1.
        limits: the bounds of the decoder.

    Raises:
        PacketError: if a placeholder names an attachment that does not follow.
    """

    __slots__ = ("_attachments", "_count", "_max_bytes", "_packet", "_places", "_size")

    def __init__(self, packet: Packet, count: int, *, limits: DecoderLimits) -> None:
        self._packet = packet
        self._count = count
        self._max_bytes = limits.max_attachment_bytes
        self._places = _find_placeholders(packet[3], count)
        self._attachments: list[bytes] = []
        self._size = 0

    def add(self, attachment: bytes) -> Packet | None:
        """Takes the next attachment.

        Args:
            attachment: the content of a binary message.

        Returns:
            The packet once it is complete, until then None.

        Raises:
            LimitError: if the attachments are too large together.
            PacketError: if the packet was complete before.
        """
        if len(self._attachments) == self._count:
            raise PacketError("an attachment came for a packet that has all of its own")
        self._size += len(attachment)
        if self._size > self._max_bytes:
            raise LimitError(f"the attachments have {self._size} bytes", option="max_attachment_bytes")
        self._attachments.append(attachment)
        if len(self._attachments) < self._count:
            return None
        for container, key, number in self._places:
            container[key] = self._attachments[number]
        return self._packet


def _find_placeholders(data: Any, count: int) -> list[tuple[Any, Any, int]]:
    # Iterative: the depth that a peer chooses must not be ours on the stack.
    places = []
    containers = [data]
    while containers:
        container = containers.pop()
        for key, value in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(value, dict) and value.get("_placeholder") is True:
                places.append((container, key, _checked_number(value.get("num"), count)))
            elif isinstance(value, (dict, list)):
                containers.append(value)
    return places


def _checked_number(number: Any, count: int) -> int:
    # CVE-2022-2421: a number that was not checked chose any property of the list.
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < count:
        raise PacketError(f"a placeholder names none of the {count} attachments")
    return number

"""The bodies of long-polling: several packets joined, binary as base64, and the JSONP wrapping.

Must not look into a message: whether its text is UTF-8 and JSON is the codec's question.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from carboy.exceptions import LimitError, PacketError

SEPARATOR = b"\x1e"

_BINARY = ord("b")
_FIRST_TYPE, _LAST_TYPE = ord("0"), ord("6")

_WHITESPACE = b" \t\r\n"
_BASE64_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URLSAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")

_ESCAPED_NEWLINE = re.compile(rb"(\\)?\\n")


def encode_payload(packets: Iterable[bytes]) -> bytes:
    """Joins encoded packets to one body (Engine.IO v4, "payload")."""
    return SEPARATOR.join(packets)


def encode_binary(data: bytes) -> bytes:
    """Encodes a binary message for a body of text: "b" and base64."""
    return b"b" + binascii.b2a_base64(data, newline=False)


def decode_binary(packet: bytes) -> bytes:
    """Decodes a binary message in its text form, which may also come in a websocket's text frame.

    Node's leniency: the URL-safe alphabet, missing padding and whitespace are taken.

    Args:
        packet: "b" and base64.

    Returns:
        The message.

    Raises:
        PacketError: if it is not base64.
    """
    digits = packet[1:].translate(_URLSAFE_TO_STANDARD, delete=_WHITESPACE)
    length = len(digits)
    digits = digits.rstrip(b"=")
    # The decoder of the standard library skips what it does not know, so that is looked for first.
    if length - len(digits) > 2 or len(digits) % 4 == 1 or digits.translate(None, delete=_BASE64_ALPHABET):
        raise PacketError("a binary packet is not base64")
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def decode_payload(body: bytes, *, max_bytes: int, max_packets: int) -> list[tuple[bool, bytes]]:
    """Takes the body of a POST apart, in time linear in its length.

    Args:
        body: the body.
        max_bytes: bytes that it may have (option `max_http_buffer_size`).
        max_packets: packets that it may have (option `max_payload_packets`).

    Returns:
        For each packet whether it is a binary message, and its bytes: those of the message, or of the text
        packet with the digit of its type.

    Raises:
        LimitError: if the body is past one of its bounds.
        PacketError: if it is empty or holds a packet that is none.
    """
    if len(body) > max_bytes:
        raise LimitError(f"a body of {len(body)} bytes is larger than {max_bytes}", "max_http_buffer_size")
    count = body.count(SEPARATOR) + 1
    if count > max_packets:
        raise LimitError(f"a body has {count} packets, more than {max_packets}", "max_payload_packets")
    packets = []
    for packet in body.split(SEPARATOR):
        if not packet:
            raise PacketError("a body has an empty packet")
        first = packet[0]
        if first == _BINARY:
            packets.append((True, decode_binary(packet)))
        elif _FIRST_TYPE <= first <= _LAST_TYPE:
            packets.append((False, packet))
        else:
            raise PacketError(f"a packet has the unknown type {chr(first)!a}")
    return packets


def encode_jsonp(payload: bytes, index: int) -> bytes:
    """Wraps a body into the script that a JSONP client runs.

    Args:
        payload: the body.
        index: which of its callbacks the client waits with.

    Returns:
        The script. It is harmless where a browser takes it for HTML, and U+2028 and U+2029, which end a line
        in older JavaScript, are escaped.
    """
    text = json.dumps(payload.decode(), ensure_ascii=False)
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f"___eio[{index}]({text});".encode()


def decode_jsonp(body: bytes) -> bytes:
    r"""Takes the payload out of the form that a JSONP client posts.

    The client writes a line break as a backslash and "n", since browsers change line breaks in forms, and
    such a pair that was in the data with one more backslash (Node behaviour).

    Args:
        body: an url-encoded form with the field "d".

    Returns:
        The payload, for `decode_payload`.

    Raises:
        PacketError: if the form has no such field.
    """
    for field in body.split(b"&"):
        if field.startswith(b"d="):
            value = unquote_to_bytes(field[2:].replace(b"+", b" "))
            return _ESCAPED_NEWLINE.sub(lambda pair: b"\\n" if pair[1] else b"\n", value)
    raise PacketError("a JSONP body has no field d")

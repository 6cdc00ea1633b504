"""The messages between the processes of a cluster: JSON objects, those of python-socketio since 5.14.

    {"method": "emit", "event": ..., "data": [...], "binary": false, "namespace": "/", "room": ...,
     "skip_sid": ..., "callback": [room, namespace, id] or null, "host_id": ...}

and the methods callback, disconnect, enter_room, leave_room and close_room; so that its processes and ours
share a queue. What is beyond that has methods and keys that it ignores. Nothing is ever unpickled.
"""

from __future__ import annotations

import json as standard_json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson

from carboy.exceptions import PacketError, RemoteError
from carboy.socketio.attachments import PartialPacket
from carboy.socketio.json_codec import JSONCodec
from carboy.socketio.packets import ACK, DecoderLimits

Message = dict[str, Any]

# A queue is the operator's own: these bound a defect, not an attacker.
LIMITS = DecoderLimits(
    max_attachments=100_000,
    max_attachment_bytes=1_000_000_000,
    max_id_digits=19,
    max_namespace_length=1_000_000,
    max_depth=900,
)

_ROOM_TYPES = (str, int, float, bool, type(None))


def encode_message(message: Message) -> bytes:
    """Writes a message.

    Args:
        message: its keys and values; `arguments_of` makes those that carry arguments.

    Raises:
        TypeError: if something in it has no form in JSON.
    """
    try:
        return orjson.dumps(message)
    except TypeError:
        raise TypeError(
            f"what is to be sent to other processes must be JSON: {message.get('method')}"
        ) from None


def decode_message(data: bytes) -> Message:
    """Reads a message.

    Args:
        data: what came from the queue.

    Raises:
        PacketError: if it is no JSON object with a method.
    """
    try:
        message = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        message = _read_with_standard_library(data)
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        raise PacketError("a message on the queue is no JSON object with a method")
    return message


def _read_with_standard_library(data: bytes) -> Any:
    """Reads what other encoders write and ours refuses: NaN, half of a surrogate pair."""
    try:
        return standard_json.loads(data)
    except (ValueError, RecursionError):
        raise PacketError("a message on the queue is not JSON; pickles are never read") from None


def arguments_of(codec: JSONCodec, arguments: Sequence[Any], name: str = "data") -> Message:
    """Returns the keys that carry arguments, bytes within them included.

    Args:
        codec: writes them.
        arguments: of an event, or of an acknowledgement.
        name: "data" for an event, "args" for an acknowledgement.

    Raises:
        TypeError: if they cannot be encoded.
    """
    text, attachments = codec.encode(ACK, "/", None, list(arguments))
    assert text is not None
    if not attachments:
        return {name: orjson.Fragment(text[1:]), "binary": False}
    payload = orjson.Fragment(text[text.index(b"-") + 1 :])
    return {name: [payload, *(b64encode(data).decode() for data in attachments)], "binary": True}


def read_arguments(message: Message, name: str = "data") -> list[Any]:
    """Returns the arguments that a message carries.

    Versions up to 5.15.0 of python-socketio do not put a single one into a list.

    Args:
        message: the message.
        name: as in `arguments_of`.

    Raises:
        PacketError: if its attachments are not there.
    """
    data = message.get(name)
    if not message.get("binary"):
        return data if isinstance(data, list) else [data]
    try:
        arguments, *encoded = data  # type: ignore[misc]  # whatever is no list is refused below
        attachments = [b64decode(attachment) for attachment in encoded]
        arguments = arguments if isinstance(arguments, list) else [arguments]
        return _put_back(arguments, attachments)
    except (TypeError, ValueError, Base64Error, RemoteError) as error:
        raise PacketError(f"a message on the queue lacks its attachments: {error}") from None


def _put_back(arguments: list[Any], attachments: list[bytes]) -> list[Any]:
    if not attachments:
        return arguments
    packet = PartialPacket((ACK, "/", None, arguments), len(attachments), limits=LIMITS)
    for attachment in attachments:
        packet.add(attachment)
    return arguments


def write_rooms(rooms: Iterable[Any] | None) -> Any:
    """Returns rooms as a message names them: null for everybody, one, or a list.

    Args:
        rooms: the rooms, None for everybody.

    Raises:
        TypeError: if one of them has no form that is the same room for others.
    """
    if rooms is None:
        return None
    # None is a room here, and elsewhere means everybody: nobody elsewhere is in it.
    named = [_room(room) for room in rooms if room is not None]
    return named[0] if len(named) == 1 else named


def _room(room: Any) -> Any:
    if not isinstance(room, _ROOM_TYPES) or room != room:  # noqa: PLR0124  (not a number would be null)
        raise TypeError(f"the room {room!r} cannot be named to other processes: use text or a number")
    return room


def read_rooms(room: Any) -> list[Any] | None:
    """Returns the rooms that a message names, None for everybody.

    Args:
        room: the value of "room".

    Raises:
        PacketError: if it names none.
    """
    rooms = room if isinstance(room, list) else [room]
    if not all(isinstance(each, _ROOM_TYPES) for each in rooms):
        raise PacketError("a message on the queue names a room that is none")
    return None if room is None else rooms


def read_skipped(skip_sid: Any) -> tuple[str, ...]:
    """Returns the sids that a message leaves out.

    Args:
        skip_sid: the value of "skip_sid": null, one, or a list.
    """
    if not skip_sid:
        return ()
    return tuple(str(sid) for sid in skip_sid) if isinstance(skip_sid, list) else (str(skip_sid),)


def read_text(message: Message, name: str, default: str | None = None) -> str:
    """Returns a value that has to be text.

    Args:
        message: the message.
        name: the key.
        default: what it is if the message does not say.

    Raises:
        PacketError: if it is none.
    """
    value = message.get(name)
    value = default if value is None else value
    if not isinstance(value, str):
        raise PacketError(f"a message on the queue ({message['method'][:40]}) has no {name}")
    return value

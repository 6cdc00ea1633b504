"""What workers send one another: frames of a length, a kind and a payload. It knows no socket."""

from __future__ import annotations

import struct

HELLO, PUBLISH, REQUEST, END, REPLY, HANDOVER = range(6)
"""A name; a message of the bus; an HTTP request, its end, its reply; a websocket with its socket."""

_HEAD = struct.Struct("<IB")


def frame_head(kind: int, payload: bytes) -> bytes:
    """Returns what stands before a payload."""
    return _HEAD.pack(len(payload), kind)


class FrameDecoder:
    """Finds the frames in a stream."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Takes bytes, and returns the kinds and payloads of the frames that are complete."""
        buffer = self._buffer
        buffer += data
        frames = []
        begin, end = 0, len(buffer)
        while end - begin >= _HEAD.size:
            length, kind = _HEAD.unpack_from(buffer, begin)
            if end - begin - _HEAD.size < length:
                break
            begin += _HEAD.size + length
            frames.append((kind, bytes(buffer[begin - length : begin])))
        del buffer[:begin]
        return frames

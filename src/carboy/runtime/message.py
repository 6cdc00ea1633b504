"""One outgoing Socket.IO packet, encoded once and framed at most once per kind of transport.

The same object goes to every recipient of a broadcast.
"""

from __future__ import annotations

import msgspec

from carboy.engineio.packets import frame_binary, frame_text
from carboy.engineio.payloads import encode_binary


class Message(msgspec.Struct, gc=False, eq=False):
    """An encoded packet: its text, and the binary messages that follow it without a gap.

    A struct, since one is made for every acknowledgement: a third of the cost of a class with slots, and the
    garbage collector does not visit it (it holds bytes alone).

    Attributes:
        text: the Engine.IO packet with its type digit, or None if the packet is binary alone (MessagePack).
        binaries: what follows, in order.
        volatile: whether it is dropped rather than kept for a client that cannot take it now.
    """

    text: bytes | None
    binaries: tuple[bytes, ...] = ()
    volatile: bool = False
    _frames: bytes | None = None
    _packets: tuple[bytes, ...] | None = None

    @property
    def size(self) -> int:
        """Bytes, without framing."""
        return len(self.text or b"") + sum(map(len, self.binaries))

    def frames(self) -> bytes:
        """Returns the packet as websocket frames, made at the first call."""
        frames = self._frames
        if frames is None:
            frames = b"" if self.text is None else frame_text(self.text)
            if self.binaries:
                frames = b"".join((frames, *map(frame_binary, self.binaries)))
            self._frames = frames
        return frames

    def packets(self) -> tuple[bytes, ...]:
        """Returns the packet as Engine.IO packets for a polling payload, made at the first call."""
        packets = self._packets
        if packets is None:
            texts = () if self.text is None else (self.text,)
            packets = self._packets = (*texts, *map(encode_binary, self.binaries))
        return packets

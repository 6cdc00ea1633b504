"""A client that sends bytes and reads frames; it knows no right, so it can send what is wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
from typing import Any

SECONDS = 20.0

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = base64.b64encode(bytes(range(16))).decode()
ACCEPT = base64.b64encode(hashlib.sha1(KEY.encode() + GUID).digest()).decode()


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, masked: bool = True
) -> bytes:
    """Return the frame of a client, right or wrong."""
    head = bytearray([(fin << 7) | (reserved << 4) | opcode])
    mask_bit = 0x80 if masked else 0
    if len(payload) < 126:
        head.append(mask_bit | len(payload))
    elif len(payload) < 65536:
        head += bytes([mask_bit | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", len(payload))
    if not masked:
        return bytes(head) + payload
    key = b"\x21\x43\x65\x87"
    repeated = key * (len(payload) // 4 + 1)
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated[: len(payload)], "big")
    return bytes(head) + key + number.to_bytes(len(payload), "big")


def close_body(code: int, reason: bytes = b"") -> bytes:
    """Return the payload of a close frame."""
    return struct.pack("!H", code) + reason


class Response:
    """An HTTP response."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __getitem__(self, name: str) -> str:
        """Return a header, several joined."""
        return ", ".join(value for key, value in self.headers if key == name)


class Client:
    """One connection."""

    def __init__(
        self, address: int | str, *, tls: ssl.SSLContext | None = None, receive_buffer: int = 0
    ) -> None:
        unix = isinstance(address, str)
        self.socket: socket.socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(SECONDS)
        try:
            self.socket.connect(address if unix else ("127.0.0.1", address))
        except OSError:
            self.socket.close()
            raise
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.buffer = bytearray()

    def __enter__(self) -> Client:  # noqa: PYI034  # Self is newer than the oldest Python
        """Use the connection in a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def read(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        while len(self.buffer) < size:
            self._fill()
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def read_head(self) -> bytes:
        """Read to the empty line."""
        while b"\r\n\r\n" not in self.buffer:
            self._fill()
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer[:] = rest
        return head

    def _fill(self) -> None:
        data = self.socket.recv(262144)
        if not data:
            raise EOFError(f"the server closed; {bytes(self.buffer)!r} was left")
        self.buffer += data

    def closed(self) -> bool:
        """Wait for the server to close, and tell whether it did without sending anything more."""
        try:
            return self.socket.recv(1) == b"" and not self.buffer
        except ConnectionResetError:
            return not self.buffer

    def reset(self) -> None:
        """Cut the connection off without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # HTTP

    def begin(self, method: str, target: str, body: bytes | None = None, headers: str = "") -> None:
        """Send a request without waiting for the answer."""
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}"
        if body is not None:
            head += f"Content-Length: {len(body)}\r\n"
        self.send(head.encode("latin-1") + b"\r\n" + (body or b""))

    def finish(self, method: str = "GET") -> Response:
        """Read the answer."""
        status_line, *lines = self.read_head().decode("latin-1").split("\r\n")
        headers = [
            (name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)
        ]
        length = next((int(value) for name, value in headers if name == "content-length"), 0)
        body = b"" if method == "HEAD" else self.read(length)
        return Response(int(status_line.split()[1]), headers, body)

    def request(self, method: str, target: str, body: bytes | None = None, headers: str = "") -> Response:
        """Send a request and read the answer."""
        self.begin(method, target, body, headers)
        return self.finish(method)

    # Websockets

    def upgrade(self, target: str, headers: str = "", connection: str = "Upgrade") -> Response:
        """Send the opening handshake and read the answer."""
        self.begin("GET", target, headers=handshake_headers(connection) + headers)
        return self.finish()

    def read_frame(self) -> tuple[int, bytes]:
        """Read one frame of the server: opcode and payload."""
        first, second = self.read(2)
        assert first & 0xF0 == 0x80, "a server's frame is final and has no reserved bits"
        assert second < 0x80, "a server's frame is not masked"
        size = second
        if second == 126:
            (size,) = struct.unpack("!H", self.read(2))
        elif second == 127:
            (size,) = struct.unpack("!Q", self.read(8))
        return first & 0x0F, self.read(size)

    def read_text(self) -> str:
        """Read one text message."""
        opcode, payload = self.read_frame()
        assert opcode == TEXT, (opcode, payload)
        return payload.decode()

    def read_close(self) -> int:
        """Read frames up to the close frame, and return its code (0 if it has none)."""
        opcode, payload = self.read_frame()
        while opcode != CLOSE:
            opcode, payload = self.read_frame()
        return struct.unpack("!H", payload[:2])[0] if payload else 0

    def send_text(self, text: str) -> None:
        """Send one text message."""
        self.send(frame(TEXT, text.encode()))


def handshake_headers(connection: str = "Upgrade") -> str:
    """Return the headers of an opening handshake."""
    return (
        f"Connection: {connection}\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    )


def opened(payload: str | bytes) -> dict[str, Any]:
    """Return what stands in the packet that opens a session."""
    text = payload.decode() if isinstance(payload, bytes) else payload
    assert text[0] == "0", text
    packet: dict[str, Any] = json.loads(text[1:])
    return packet


def random_text(size: int) -> str:
    """Return text of so many bytes, different each time."""
    return os.urandom(size // 2 + 1).hex()[:size]

"""The driver for ZeroMQ, over a broker that sends what it PULLs from one port to all SUBscribers of another.

ZeroMQ tells nobody whether a message has arrived. But the broker sends each to every subscriber, so to its
publisher as well: what has come back is what the broker has.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from carboy.adapters.broker_driver import BrokerDriver
from carboy.adapters.broker_url import BrokerURL
from carboy.exceptions import ConfigurationError

AT_ONCE = 500
"""Messages that are taken before others on the loop have their turn."""

PROBE = b'{"type": "probe", "id": "'


class ZMQDriver(BrokerDriver):
    """Carries messages over a ZeroMQ broker.

    Args:
        url: `zmq+tcp://host:port+port`, first the port to PUSH to, then the port to SUBscribe at.
        timeout: see `BrokerDriver`.
        options: none.
    """

    def __init__(self, url: BrokerURL, timeout: float, options: Mapping[str, Any]) -> None:
        super().__init__(url, timeout)
        if len(url.hosts) != 1 or url.hosts[0][1] is None or url.second_port is None:
            raise ConfigurationError(f"{url} names no two ports: write zmq+tcp://host:port+port")
        if options:
            raise ConfigurationError(f"{url} takes no option but timeout, and was given {', '.join(options)}")
        host, port = url.hosts[0]
        host = f"[{host}]" if ":" in host else host
        self._sink_address, self._source_address = f"tcp://{host}:{port}", f"tcp://{host}:{url.second_port}"
        self._context: zmq.asyncio.Context | None = None
        self._sockets: list[zmq.asyncio.Socket] = []
        self._sink: zmq.asyncio.Socket | None = None
        self._frames: re.Pattern[bytes] = re.compile(b"")
        self._expected: dict[bytes, asyncio.Future[None]] = {}

    async def _open(self, channels: Sequence[str]) -> None:
        self._frames = _frames_of(channels)
        self._context = zmq.asyncio.Context()
        source = self._socket(zmq.SUB)
        source.subscribe(b"")
        self._spawn(self._watch_socket(source))
        source.connect(self._source_address)
        self._sink = self._socket(zmq.PUSH)
        self._sink.connect(self._sink_address)
        self._spawn(self._read(source))
        while not await self._comes_back():  # until the broker knows the subscription, which it does not tell
            pass

    async def _comes_back(self) -> bool:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._probe(), 0.05)
            return True
        return False

    def _socket(self, kind: int) -> zmq.asyncio.Socket:
        assert self._context is not None
        socket = self._context.socket(kind)
        self._sockets.append(socket)
        socket.linger = 0
        socket.immediate = True  # without a connection nothing is taken, instead of kept
        socket.rcvhwm = socket.sndhwm = 0
        return socket

    async def _watch_socket(self, source: zmq.asyncio.Socket) -> None:
        monitor = source.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        try:
            await recv_monitor_message(monitor)
            raise ConnectionError("the broker has closed the connection")
        finally:
            source.disable_monitor()

    async def _read(self, source: zmq.asyncio.Socket) -> None:
        # Each wait costs a future, and most messages do not come alone.
        at_once: zmq.Socket[bytes] = zmq.Socket.shadow(source)
        while True:
            self._take(await source.recv())
            with suppress(zmq.Again):
                for _ in range(AT_ONCE):
                    self._take(at_once.recv(zmq.NOBLOCK))

    def _take(self, frame: bytes) -> None:
        waiting = self._expected.pop(frame, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        found = self._frames.fullmatch(frame)
        if found:
            self._deliver(found["data"])

    async def _send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        await self._send_frames([_head(channel) + message + b"}" for channel, message in messages])

    async def _probe(self) -> None:
        await self._send_frames([PROBE + uuid4().hex.encode() + b'"}'])

    async def _send_frames(self, frames: Sequence[bytes]) -> None:
        """Sends frames, and waits until the last has come back."""
        assert self._sink is not None
        back = self._expected[frames[-1]] = asyncio.get_running_loop().create_future()
        try:
            for frame in frames:
                await self._sink.send(frame)
            await back
        finally:
            self._expected.pop(frames[-1], None)

    async def _end(self) -> None:
        context, self._context, self._sink = self._context, None, None
        if context is not None:
            context.destroy(linger=0)
        self._sockets.clear()  # not before: the context alone does not keep them


def _head(channel: str) -> bytes:
    """Returns what stands before a message in its frame, byte by byte as Python's `json` writes it."""
    return b'{"type": "message", "channel": %s, "data": ' % json.dumps(channel).encode()


def _frames_of(channels: Sequence[str]) -> re.Pattern[bytes]:
    """Returns what finds the message in a frame of these channels, with spaces wherever JSON allows them."""
    names = b"|".join(re.escape(json.dumps(channel).encode()) for channel in channels)
    spaced = rb'\s*\{\s*"type"\s*:\s*"message"\s*,\s*"channel"\s*:\s*(?:' + names + rb')\s*,\s*"data"\s*:\s*'
    return re.compile(spaced + rb"(?P<data>.*\S)\s*\}\s*", re.DOTALL)

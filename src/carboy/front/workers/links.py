"""Connections between two workers, each for one direction: whoever has opened one sends, the other reads.

They are plain sockets watched by the loop, since no transport of a loop passes file descriptors on. All in
the loop's thread.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from carboy.front.workers.frames import HANDOVER, FrameDecoder, frame_head

MAX_BUFFERS = 256
"""Pieces that leave in one call; systems take 1024."""

READ_SIZE = 64 * 1024
"""Bytes of one read, each into a buffer of its own: servers of one process have loops in several threads. Of
this size it costs nothing; a larger one would be mapped by the system anew for each read."""

# On Windows, where nothing is ever sent, there are none of these.
_DESCRIPTOR_SPACE = socket.CMSG_SPACE(struct.calcsize("i")) if hasattr(socket, "CMSG_SPACE") else 0
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Outgoing:
    """The direction to another worker.

    Args:
        loop: the loop.
        connection: the connection.
        lost: called once when the other has ended.

    Attributes:
        backlog: bytes that were sent but have not left.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, connection: socket.socket, lost: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._lost = lost
        self._queue: deque[tuple[bytes | memoryview, socket.socket | None]] = deque()
        self._scheduled = False
        self._writing = False
        self._closed = False
        self.backlog = 0
        loop.add_reader(connection, self._look)

    def send(self, kind: int, payload: bytes, taken: socket.socket | None = None) -> None:
        """Sends a frame, in one go with others of this round of the loop.

        Args:
            kind: the kind.
            payload: the payload.
            taken: a socket that goes with it, and is closed here.
        """
        head = frame_head(kind, payload)
        self._queue.append((head, taken))
        self._queue.append((payload, None))
        self.backlog += len(head) + len(payload)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Ends it; what has not left is lost."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._connection)
            self._loop.remove_writer(self._connection)
            for _, taken in self._queue:
                if taken is not None:
                    taken.close()
            self._queue.clear()
            with suppress(OSError):  # a process that was forked meanwhile may have it open
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()

    def abandon(self) -> None:
        """Closes the file alone, in a process that was forked."""
        close_file(self._connection)

    def _look(self) -> None:
        """Looks whether the other has ended: it never sends."""
        try:
            ended = not self._connection.recv(1)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            ended = True
        if ended:
            self._end()

    def _end(self) -> None:
        if not self._closed:
            self.close()
            self._lost()

    def _flush(self) -> None:
        self._scheduled = True  # while it is written to, and when the socket is ready
        if self._closed:
            return
        try:
            while self._queue:
                self._send_some()
        except (BlockingIOError, InterruptedError):
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self._connection, self._flush)
            return
        except OSError:
            self._end()
            return
        self._scheduled = False
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._connection)

    def _send_some(self) -> None:
        first, taken = self._queue[0]
        if taken is None:
            self._sent(self._connection.sendmsg(self._buffers()))
        else:
            descriptors = array.array("i", [taken.fileno()])
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
            count = self._connection.sendmsg([first], ancillary)
            self._queue[0] = first, None
            taken.close()
            self._sent(count)

    def _buffers(self) -> list[bytes | memoryview]:
        """Returns the pieces up to the next one that goes with a socket."""
        buffers: list[bytes | memoryview] = []
        for data, taken in self._queue:
            if taken is not None or len(buffers) == MAX_BUFFERS:
                break
            buffers.append(data)
        return buffers

    def _sent(self, count: int) -> None:
        self.backlog -= count
        queue = self._queue
        while queue and count >= len(queue[0][0]) and queue[0][1] is None:
            data, _ = queue.popleft()
            count -= len(data)
        if count:
            data, _ = queue[0]
            queue[0] = memoryview(data)[count:], None


class Incoming:
    """The direction from another worker.

    Args:
        loop: the loop.
        connection: the connection.
        take: takes a kind, a payload, and the socket that came with it.
        ended: called once when the other has ended it.

    Attributes:
        name: the name of the other worker; empty until it has told it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: socket.socket,
        take: Callable[[Incoming, int, bytes, socket.socket | None], None],
        ended: Callable[[Incoming], None],
    ) -> None:
        self.name = ""
        self._loop = loop
        self._connection = connection
        self._take = take
        self._ended = ended
        self._decoder = FrameDecoder()
        self._sockets: deque[socket.socket | None] = deque()
        self._closed = False
        loop.add_reader(connection, self._read)

    def close(self) -> None:
        """Ends it."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._connection)
            with suppress(OSError):  # a process that was forked meanwhile may have it open
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()
            for taken in filter(None, self._sockets):
                taken.close()

    def abandon(self) -> None:
        """Closes the file alone, in a process that was forked."""
        close_file(self._connection)

    def _read(self) -> None:
        try:
            data, ancillary, flags, _ = self._connection.recvmsg(READ_SIZE, _DESCRIPTOR_SPACE, _CLOSE_ON_EXEC)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, ancillary, flags = b"", [], 0
        self._sockets += _sockets_of(ancillary)
        if flags & socket.MSG_CTRUNC and not ancillary:
            self._sockets.append(None)  # too many files are open
        for kind, payload in self._decoder.feed(data):
            if self._closed:
                return
            self._take(self, kind, payload, self._sockets.popleft() if kind == HANDOVER else None)
        if not data and not self._closed:
            self.close()
            self._ended(self)


def close_file(watched: socket.socket) -> None:
    """Closes the file of a socket though a loop watches it, which is the loop of another process."""
    os.close(watched.detach())  # `close` waits for the loop, whose selector both processes share


def _sockets_of(ancillary: list[tuple[int, int, bytes]]) -> list[socket.socket]:
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return [_socket_of(descriptor) for descriptor in descriptors]


def _socket_of(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    made = socket.socket(fileno=descriptor)
    made.setblocking(False)
    return made

"""Where the workers of one master find one another: a directory of theirs alone, with a socket of each.

It is the file system's side of it: who is there is asked, never watched. The socket of a worker that has died
refuses connections, and whoever notices takes it away.
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from carboy.engineio.sids import NAME_LENGTH, generate_name

MAX_PATH = 100
"""Bytes of the path of a Unix socket; the least that systems take is 104, with a zero."""

BACKLOG = 128

_PREFIX = "carboy-"
_ATTEMPTS = 10


class Place:
    """The directory of one group.

    Args:
        master: the process id of the master.
        key: what else tells the group from any other of this user's.

    Raises:
        OSError: if there is nowhere to put it, or somebody else has it.
    """

    def __init__(self, master: int, key: str) -> None:
        digest = hashlib.sha256(f"{os.getuid()} {master} {key}".encode()).hexdigest()[:16]
        self._path = _base() / f"{_PREFIX}{master}-{digest}"
        sweep(self._path.parent)

    def listen(self) -> tuple[str, socket.socket]:
        """Makes a name that nobody has, and a socket on which its worker is reached."""
        for _ in range(_ATTEMPTS):
            _make_private(self._path)
            name = generate_name()
            listener = _socket()
            try:
                # Whoever finds a socket connects to it; so it gets its name when it listens.
                new = self._path / f".{name}"
                listener.bind(str(new))
                listener.listen(BACKLOG)
                os.link(new, self._path / name)
                new.unlink()
            except (
                FileExistsError,
                FileNotFoundError,
            ):  # the name is taken; the last worker took the place away
                listener.close()
            except BaseException:
                listener.close()
                raise
            else:
                return name, listener
        raise OSError(f"cannot keep a socket in {self._path}")

    def names(self) -> list[str]:
        """Returns the names of the workers that are there; some may be dead."""
        with suppress(FileNotFoundError):
            return [name for name in os.listdir(self._path) if len(name) == NAME_LENGTH]  # noqa: PTH208
        return []

    def connect(self, name: str) -> socket.socket | None:
        """Connects to a worker; None if it is not there any more."""
        connection = _socket()
        try:
            connection.connect(str(self._path / name))
        except ConnectionRefusedError:
            connection.close()
            self.take_away(name)
        except OSError:  # it does not exist; or it has too many connections waiting, and is not alive
            connection.close()
        else:
            return connection
        return None

    def take_away(self, name: str) -> None:
        """Removes the socket of a worker that has ended, and the directory behind the last one."""
        with suppress(OSError):
            (self._path / name).unlink()
        with suppress(OSError):
            self._path.rmdir()


def sweep(base: Path) -> None:
    """Removes what groups of this user have left behind whose processes were all killed."""
    with suppress(OSError):
        for path in base.glob(f"{_PREFIX}*-*"):
            master = path.name.split("-")[1]
            if master.isdigit() and not _lives(int(master)) and path.stat().st_uid == os.getuid():
                _sweep_group(path)


def _sweep_group(path: Path) -> None:
    with suppress(OSError):
        for entry in path.iterdir():
            if not _answers(entry):  # the master may live in another container that shares the directory
                entry.unlink()
        path.rmdir()


def _answers(path: Path) -> bool:
    with _socket() as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
        return True


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


def _base() -> Path:
    """Returns the first directory for such things whose path is short enough."""
    longest = len(_PREFIX) + 10 + 1 + 16 + len("/.") + NAME_LENGTH
    for candidate in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):  # noqa: S108
        if (
            candidate
            and len(os.fsencode(candidate)) + 1 + longest <= MAX_PATH
            and os.access(candidate, os.W_OK)
        ):
            return Path(candidate)
    raise OSError("no directory for temporary files has a path that is short enough for a socket")


def _make_private(path: Path) -> None:
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise OSError(f"{path} is not a directory of this user's alone")

"""Where workers find one another."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from carboy.engineio.sids import is_sid
from carboy.front.workers.place import Place


def dead_process() -> int:
    """Return the id of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def folder_of(base: Path) -> Path:
    """Return the one directory of a group."""
    (folder,) = base.iterdir()
    return folder


def test_place_is_this_users_alone(base: Path) -> None:
    """Nobody else may look into the directory."""
    Place(os.getpid(), "key").listen()[1].close()
    assert stat.S_IMODE(folder_of(base).stat().st_mode) == 0o700


def test_worker_is_found_by_its_name() -> None:
    """The name may stand in a sid, and the socket is that of the worker."""
    place = Place(os.getpid(), "key")
    name, listener = place.listen()
    assert is_sid(name * 5)
    assert Place(os.getpid(), "key").names() == [name]
    connection = Place(os.getpid(), "key").connect(name)
    assert connection is not None
    accepted, _ = listener.accept()
    for each in (connection, accepted, listener):
        each.close()


@pytest.mark.parametrize(
    ("master", "key"), [(os.getppid(), "key"), (os.getpid(), "other")], ids=["master", "key"]
)
def test_groups_do_not_mix(master: int, key: str) -> None:
    """Another master, or another key, is another group."""
    _, listener = Place(os.getpid(), "key").listen()
    assert Place(master, key).names() == []
    listener.close()


def test_place_that_was_never_made_has_nobody() -> None:
    """Whoever looks before anybody listens finds nothing."""
    assert Place(os.getpid(), "key").names() == []


def test_dead_worker_is_taken_away_by_who_connects(base: Path) -> None:
    """Its socket refuses; with the last one the directory goes."""
    place = Place(os.getpid(), "key")
    name, listener = place.listen()
    listener.close()
    assert place.connect(name) is None
    assert list(base.iterdir()) == []


def test_unknown_worker_is_not_there() -> None:
    """A name that nobody has leads nowhere."""
    place = Place(os.getpid(), "key")
    _, listener = place.listen()
    assert place.connect("____") is None
    listener.close()


def test_directory_goes_with_the_last_worker(base: Path) -> None:
    """Others keep it."""
    place = Place(os.getpid(), "key")
    (first, one), (second, other) = place.listen(), place.listen()
    place.take_away(first)
    assert [path.name for path in folder_of(base).iterdir()] == [second]
    place.take_away(second)
    assert list(base.iterdir()) == []
    one.close()
    other.close()


def test_place_is_made_again_behind_the_last_worker() -> None:
    """A worker that comes when the last one goes finds a place all the same."""
    place = Place(os.getpid(), "key")
    name, listener = place.listen()
    listener.close()
    place.take_away(name)
    _, listener = place.listen()
    listener.close()


def test_directory_of_others_is_refused(base: Path) -> None:
    """Where others may read, nothing is put."""
    place = Place(os.getpid(), "key")
    place.listen()[1].close()
    folder_of(base).chmod(0o755)
    with pytest.raises(OSError, match="this user's alone"):
        place.listen()


def test_groups_of_killed_masters_are_swept_away(base: Path) -> None:
    """What was left behind goes with the next group; what answers stays, though its master is not seen."""
    dead, hidden = Place(dead_process(), "dead"), Place(dead_process(), "hidden")
    dead.listen()[1].close()
    name, listener = hidden.listen()
    Place(os.getpid(), "key")
    assert [path.name for path in folder_of(base).iterdir()] == [name]
    listener.close()


def test_long_path_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A directory whose path leaves no room for a socket's is not used."""
    far = tmp_path / ("x" * 100)
    far.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(far))
    name, listener = Place(os.getpid(), "long").listen()
    assert list(far.iterdir()) == []
    assert listener.family == socket.AF_UNIX
    listener.close()
    Place(os.getpid(), "long").take_away(name)

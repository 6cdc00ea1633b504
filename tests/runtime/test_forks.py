"""Objects in a forked child."""

from __future__ import annotations

import gc
import os
from weakref import ref

import pytest

from carboy.runtime.forks import keep_for_good, tell_of_forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


class Inherited:
    """Counts how often it is told of a fork."""

    def __init__(self) -> None:
        self.times = 0
        tell_of_forks(self)

    def forked(self) -> None:
        """Count once more."""
        self.times += 1


def fork(*inherited: Inherited) -> list[int]:
    """Return how often each object was told, as a child sees it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, bytes(one.times for one in inherited))
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        return list(told.read())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # other tests may have left threads
def test_each_object_is_told_once_in_the_child_alone() -> None:
    """The parent goes on as it was."""
    one, other = Inherited(), Inherited()
    assert fork(one, other) == [1, 1]
    assert (one.times, other.times) == (0, 0)


def test_object_that_waits_for_forks_can_end() -> None:
    """A server that nobody needs any more is not kept for the sake of its children."""
    inherited = Inherited()
    alive = ref(inherited)
    del inherited
    gc.collect()
    assert alive() is None


def test_what_is_kept_outlives_its_last_user() -> None:
    """Sockets of a parent are never closed by the child's collector."""
    parents = Inherited()
    alive = ref(parents)
    keep_for_good(parents)
    del parents
    gc.collect()
    assert alive() is not None

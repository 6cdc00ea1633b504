"""Bounding how many threads do the same at once."""

from __future__ import annotations

from carboy.front.places import Places


def test_as_many_as_the_bound_are_let_in() -> None:
    """And one more for each that leaves; nobody waits."""
    places = Places(2)
    assert [places.acquire() for _ in range(3)] == [True, True, False]
    assert not places.available
    places.release()
    assert places.available
    assert [places.acquire(), places.acquire()] == [True, False]


def test_no_places_let_nobody_in() -> None:
    """A server with one thread has none to spare."""
    places = Places(0)
    assert not places.available
    assert not places.acquire()

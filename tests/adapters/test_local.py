"""The index of members agrees at any time with a naive list of who is where."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from carboy.adapters.local import LocalAdapter
from carboy.exceptions import LimitError, NotConnectedError


class Member:
    """A client, as far as the index knows it."""

    def __init__(self, sid: str, namespace: str = "/") -> None:
        self.sid = sid
        self.namespace = namespace
        self.rooms: set[Hashable] = set()


@pytest.fixture
def adapter() -> LocalAdapter[Member]:
    """An empty index."""
    return LocalAdapter()


def add(adapter: LocalAdapter[Member], *sids: str, namespace: str = "/") -> list[Member]:
    """Adds members with these sids."""
    members = [Member(sid, namespace) for sid in sids]
    for member in members:
        adapter.add(member)
    return members


def sids(members: tuple[Member, ...]) -> list[str]:
    """Returns the sids of members in their order."""
    return [member.sid for member in members]


def test_no_rooms_means_everybody(adapter: LocalAdapter[Member]) -> None:
    """Without rooms the whole namespace is reached, in the order of joining, and no other namespace."""
    add(adapter, "a", "b", "c")
    add(adapter, "d", namespace="/other")
    assert sids(adapter.recipients("/")) == ["a", "b", "c"]
    assert sids(adapter.recipients("/other")) == ["d"]
    assert adapter.recipients("/nobody") == ()


def test_empty_rooms_mean_nobody(adapter: LocalAdapter[Member]) -> None:
    """An empty list of rooms reaches no one, though no list reaches everyone."""
    add(adapter, "a")
    assert adapter.recipients("/", ()) == ()
    assert adapter.recipients("/", iter(())) == ()


def test_union_of_rooms_counts_each_member_once(adapter: LocalAdapter[Member]) -> None:
    """Who is in several of the rooms is reached once; a sid is a room of one."""
    add(adapter, "a", "b", "c")
    for sid, room in [("a", "x"), ("b", "x"), ("b", "y"), ("c", "y")]:
        adapter.enter("/", sid, room)
    assert sids(adapter.recipients("/", ["x", "y"])) == ["a", "b", "c"]
    assert sids(adapter.recipients("/", ["y", "a", "y"])) == ["b", "c", "a"]
    assert sids(adapter.recipients("/", ["nowhere"])) == []


def test_skipped_sids_are_left_out(adapter: LocalAdapter[Member]) -> None:
    """Whoever is skipped is not reached, through whatever room."""
    add(adapter, "a", "b", "c")
    adapter.enter("/", "a", "x")
    adapter.enter("/", "b", "x")
    assert sids(adapter.recipients("/", None, ("b",))) == ["a", "c"]
    assert sids(adapter.recipients("/", ["x", "b"], ("b", "unknown"))) == ["a"]


def test_rooms_may_be_anything_hashable(adapter: LocalAdapter[Member]) -> None:
    """Numbers and tuples name rooms as well; `True` and 1 are one room, as they are one key of a dict."""
    add(adapter, "a")
    for room in (1, ("game", 7), None):
        adapter.enter("/", "a", room)
        assert sids(adapter.recipients("/", [room])) == ["a"]


def test_rooms_may_come_from_a_generator_that_asks_for_rooms(adapter: LocalAdapter[Member]) -> None:
    """What the application computes while it names rooms may use the index."""
    (member,) = add(adapter, "a")
    adapter.enter("/", "a", "x")
    assert sids(adapter.recipients("/", (room for _ in "x" for room in adapter.rooms(member)))) == ["a"]


def test_snapshot_does_not_change_later(adapter: LocalAdapter[Member]) -> None:
    """Who was reached is settled when the snapshot is taken."""
    add(adapter, "a", "b")
    adapter.enter("/", "a", "x")
    everybody, room = adapter.recipients("/"), adapter.recipients("/", ["x"])
    adapter.enter("/", "b", "x")
    add(adapter, "c")
    assert (sids(everybody), sids(room)) == (["a", "b"], ["a"])


def test_snapshot_is_taken_once_while_nothing_changes(adapter: LocalAdapter[Member]) -> None:
    """A broadcast to the same people builds no new tuple."""
    add(adapter, "a", "b")
    adapter.enter("/", "a", "x")
    assert adapter.recipients("/") is adapter.recipients("/")
    assert adapter.recipients("/", ["x"]) is adapter.recipients("/", ["x"])


@pytest.mark.parametrize("operation", ["enter", "leave"])
def test_stranger_has_no_rooms_to_change(adapter: LocalAdapter[Member], operation: str) -> None:
    """To move somebody who is not connected is an error, in an empty namespace and in another's."""
    add(adapter, "a")
    for namespace in ("/", "/other"):
        with pytest.raises(NotConnectedError, match="'stranger'"):
            getattr(adapter, operation)(namespace, "stranger", "x")


def test_sid_room_belongs_to_one_client(adapter: LocalAdapter[Member]) -> None:
    """Nobody enters another's own room, nor is it closed; to enter or leave the own one changes nothing."""
    add(adapter, "a", "b")
    with pytest.raises(ValueError, match="sid room"):
        adapter.enter("/", "a", "b")
    with pytest.raises(ValueError, match="sid room"):
        adapter.close("/", "a")
    adapter.enter("/", "a", "a")
    adapter.leave("/", "a", "a")
    assert sids(adapter.recipients("/", ["a"])) == ["a"]
    assert adapter.names("/") == ()


def test_closed_room_is_empty_for_everybody(adapter: LocalAdapter[Member]) -> None:
    """Its members are in it no more; an unknown room is closed without a word."""
    members = add(adapter, "a", "b")
    adapter.enter("/", "a", "x")
    adapter.enter("/", "b", "x")
    adapter.recipients("/", ["x"])
    adapter.close("/", "x")
    adapter.close("/", "x")
    adapter.close("/nowhere", "x")
    assert adapter.recipients("/", ["x"]) == ()
    assert [member.rooms for member in members] == [set(), set()]
    assert adapter.names("/") == ()


def test_gone_member_is_nowhere_but_its_rooms_stay_readable(adapter: LocalAdapter[Member]) -> None:
    """A disconnect handler can still see in which rooms its client was."""
    member, other = add(adapter, "a", "b")
    adapter.enter("/", "a", "x")
    adapter.enter("/", "b", "x")
    adapter.discard(member)
    assert adapter.recipients("/", ["x", "a"]) == (other,)
    assert adapter.find("/", "a") is None
    assert adapter.rooms(member) == ("x",)


def test_discarding_again_does_not_touch_a_successor(adapter: LocalAdapter[Member]) -> None:
    """One that is gone cannot take out another with its sid, nor be taken out twice."""
    (member,) = add(adapter, "a")
    adapter.discard(member)
    adapter.discard(member)
    (successor,) = add(adapter, "a")
    adapter.discard(member)
    assert adapter.find("/", "a") is successor


def test_gone_members_leave_no_memory_behind(adapter: LocalAdapter[Member]) -> None:
    """Nothing refers to a member that has left, and an empty namespace and its rooms are dropped."""
    (member,) = add(adapter, "a")
    adapter.enter("/", "a", "x")
    adapter.recipients("/")
    adapter.recipients("/", ["x"])
    adapter.recipients("/", ["x", "a"])
    reference = weakref.ref(member)
    gc.disable()
    try:
        adapter.discard(member)
        del member
        assert reference() is None
    finally:
        gc.enable()
    assert adapter.namespaces() == ()


def test_cleared_index_knows_nobody(adapter: LocalAdapter[Member]) -> None:
    """After a fork the other process's clients are not ours."""
    add(adapter, "a")
    adapter.clear()
    assert (adapter.recipients("/"), adapter.namespaces()) == ((), ())


def test_threads_may_change_it_at_once(adapter: LocalAdapter[Member]) -> None:
    """Threads that join, leave and broadcast at the same time leave nothing behind and raise nothing."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(4)

    def work(name: str) -> None:
        try:
            barrier.wait()
            for number in range(200):
                (member,) = add(adapter, f"{name}{number}")
                adapter.enter("/", member.sid, "x")
                assert member in adapter.recipients("/")
                assert member in adapter.recipients("/", ["x"])
                adapter.enter("/", member.sid, name)
                adapter.close("/", name)
                assert adapter.rooms(member) == ("x",)
                adapter.discard(member)
                assert member not in adapter.recipients("/")
        except BaseException as error:  # noqa: BLE001 (told by the thread of the test)
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    barrier.wait()
    for thread in threads:
        thread.join()
    assert errors == []
    assert adapter.namespaces() == ()


SIDS = st.sampled_from("abcd")
ROOM_NAMES = [*"abcd", "x", "y", 1]
ROOMS = st.sampled_from(ROOM_NAMES)
NAMESPACES = st.sampled_from(["/", "/n"])


class NaiveAdapter(RuleBasedStateMachine):
    """Does the same to an index and to plain sets, and compares all that can be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.adapter: LocalAdapter[Member] = LocalAdapter()
        self.members: dict[tuple[str, str], Member] = {}
        self.rooms: dict[tuple[str, str], set[Any]] = {}

    @rule(namespace=NAMESPACES, sid=SIDS)
    def come(self, namespace: str, sid: str) -> None:
        """Somebody joins."""
        taken = any(place == namespace and sid in rooms for (place, _), rooms in self.rooms.items())
        if (
            namespace,
            sid,
        ) not in self.members and not taken:  # sids are random: no room has such a name before
            member = self.members[namespace, sid] = Member(sid, namespace)
            self.rooms[namespace, sid] = set()
            self.adapter.add(member)

    @rule(namespace=NAMESPACES, sid=SIDS)
    def go(self, namespace: str, sid: str) -> None:
        """Somebody leaves."""
        member = self.members.pop((namespace, sid), None)
        if member is not None:
            del self.rooms[namespace, sid]
            self.adapter.discard(member)

    @rule(namespace=NAMESPACES, sid=SIDS, room=ROOMS)
    def enter(self, namespace: str, sid: str, room: Any) -> None:
        """Somebody enters a room."""
        if (namespace, sid) not in self.members:
            with pytest.raises(NotConnectedError):
                self.adapter.enter(namespace, sid, room)
        elif room != sid and (namespace, room) in self.members:
            with pytest.raises(ValueError, match="sid room"):
                self.adapter.enter(namespace, sid, room)
        else:
            self.adapter.enter(namespace, sid, room)
            self.rooms[namespace, sid] |= {room} - {sid}

    @rule(namespace=NAMESPACES, sid=SIDS, room=ROOMS)
    def leave(self, namespace: str, sid: str, room: Any) -> None:
        """Somebody leaves a room."""
        if (namespace, sid) in self.members:
            self.adapter.leave(namespace, sid, room)
            self.rooms[namespace, sid].discard(room)

    @rule(namespace=NAMESPACES, room=ROOMS)
    def close(self, namespace: str, room: Any) -> None:
        """Somebody closes a room."""
        if (namespace, room) not in self.members:
            self.adapter.close(namespace, room)
            for (place, _), rooms in self.rooms.items():
                if place == namespace:
                    rooms.discard(room)

    @rule(namespace=NAMESPACES, rooms=st.lists(ROOMS, max_size=3), skip=st.sets(SIDS, max_size=2))
    def broadcast(self, namespace: str, rooms: list[Any], skip: set[str]) -> None:
        """Somebody sends to rooms."""
        expected = {
            sid
            for (place, sid), inside in self.rooms.items()
            if place == namespace and sid not in skip and {sid, *inside} & set(rooms)
        }
        reached = sids(self.adapter.recipients(namespace, rooms, skip))
        assert len(reached) == len(set(reached))
        assert set(reached) == expected

    @invariant()
    def rooms_are_known(self) -> None:
        """Each room reaches whom it should, asked at every step, so that no snapshot may be stale."""
        for namespace in ("/", "/n"):
            for room in ROOM_NAMES:
                expected = {
                    sid
                    for (place, sid), inside in self.rooms.items()
                    if place == namespace and room in {sid, *inside}
                }
                assert set(sids(self.adapter.recipients(namespace, [room]))) == expected

    @invariant()
    def everybody_is_known(self) -> None:
        """All else that can be asked agrees."""
        for namespace in ("/", "/n"):
            here = {sid: member for (place, sid), member in self.members.items() if place == namespace}
            assert set(self.adapter.recipients(namespace)) == set(here.values())
            inside = {
                room for (place, _), rooms in self.rooms.items() if place == namespace for room in rooms
            }
            assert set(self.adapter.names(namespace)) == inside
            for sid, member in here.items():
                assert self.adapter.find(namespace, sid) is member
                assert set(self.adapter.rooms(member)) == self.rooms[namespace, sid]
        assert set(self.adapter.namespaces()) == {namespace for namespace, _ in self.members}


TestNaiveAdapter = NaiveAdapter.TestCase
TestNaiveAdapter.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_client_may_be_in_so_many_rooms() -> None:
    """One more raises with the option's name; its own room and those that it is in already do not count."""
    adapter: LocalAdapter[Member] = LocalAdapter(2)
    adapter.add(Member("a"))
    for room in ("x", "y", "x", "a"):
        adapter.enter("/", "a", room)
    with pytest.raises(LimitError, match="max_rooms"):
        adapter.enter("/", "a", "z")
    adapter.leave("/", "a", "x")
    adapter.enter("/", "a", "z")
    assert sorted(adapter.names("/")) == ["y", "z"]

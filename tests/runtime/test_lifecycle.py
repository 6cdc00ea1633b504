"""A client runs and receives nothing before it was accepted, and is taken leave of exactly once after."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable
from typing import Any

import pytest

from carboy.exceptions import ConnectionRefusedError, NotConnectedError, PacketError
from carboy.runtime.client import Client
from carboy.runtime.lifecycle import refusal_data
from carboy.socketio.packets import CONNECT, CONNECT_ERROR, DISCONNECT, EVENT
from carboy.socketio.states import ClientState
from carboy.transports.memory import MemoryConnection


class Story:
    """A world whose connect handler can be held inside, and that notes what handlers do."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.notes: list[Any] = []
        self.inside = threading.Event()
        self.go = threading.Event()
        self.verdict: Any = None
        world.on("connect")(self._connect)
        world.on("disconnect")(lambda client, reason: self.notes.append(reason))
        world.on("e")(lambda client, *arguments: self.notes.append(("e", *arguments)))
        self.client: Client

    def _connect(self, client: Client, environ: Any, auth: Any) -> Any:
        self.client = client
        self.inside.set()
        assert self.go.wait(10)
        if isinstance(self.verdict, BaseException):
            raise self.verdict
        return self.verdict(client) if callable(self.verdict) else self.verdict

    def enter(self, verdict: Any = None, transport: str = "websocket") -> Any:
        """Brings a client into its connect handler."""
        self.verdict = verdict
        self.inside.clear()
        self.go.clear()
        peer = self.world.peer(transport)
        peer.ask()
        self.world.until(self.inside.is_set)
        return peer

    def decide(self) -> None:
        """Lets the connect handler end."""
        self.go.set()
        self.world.settle()


@pytest.fixture
def make_story(make_world: Callable[..., Any]) -> Any:
    """Makes stories from options of the server."""
    stories: list[Story] = []

    def make(**options: Any) -> Story:
        stories.append(Story(make_world(**options)))
        return stories[-1]

    yield make
    for story in stories:
        story.go.set()


@pytest.fixture
def story(make_story: Callable[..., Story]) -> Story:
    """A story with the default options."""
    return make_story()


# Accepting


def test_client_without_a_connect_handler_is_accepted_at_once(world: Any) -> None:
    """The CONNECT packet answers with the client's sid, which is not the session's."""
    peer = world.peer()
    peer.ask()
    world.turn()
    client = peer.connection.clients["/"]
    assert peer.received() == [(CONNECT, "/", None, {"sid": client.sid})]
    assert client.sid != peer.connection.session.sid
    assert world.server.adapter.find("/", client.sid) is client


@pytest.mark.parametrize(("auth", "given"), [(None, None), ({}, None), ({"token": 1}, {"token": 1})])
def test_connect_handler_gets_environ_and_auth(world: Any, auth: Any, given: Any) -> None:
    """The handshake's environ and what the client sent along; an empty object is nothing."""
    got: list[Any] = []
    world.on("connect")(lambda client, *arguments: got.extend(arguments))
    peer = world.peer(PATH_INFO="/x")
    peer.join(auth=auth)
    assert got[0] is peer.connection.environ
    assert got[1] == given


@pytest.mark.parametrize("verdict", [None, True, 0, "", lambda client: []])
def test_only_false_refuses(story: Story, verdict: Any) -> None:
    """Anything else that a connect handler returns accepts."""
    peer = story.enter(verdict)
    story.decide()
    assert [type for type, *_ in peer.received()] == [CONNECT]


def test_everything_before_the_acceptance_follows_the_connect_packet(story: Story) -> None:
    """What is sent to it, to all and to its room meanwhile comes right after its CONNECT, in order."""

    def connect(client: Client) -> None:
        story.world.server.enter_room(client.sid, "room")
        story.world.server.emit("1", rooms=[client.sid])
        story.world.server.emit("2")
        story.world.server.emit("3", rooms=["room"])

    peer = story.enter(connect)
    story.world.server.emit("0")
    story.world.settle_loop()
    assert peer.received() == []
    story.decide()
    assert [data[0] if type == EVENT else type for type, _, _, data in peer.received()] == [CONNECT, *"0123"]


def test_event_before_the_acceptance_breaks_the_protocol(story: Story) -> None:
    """A client that does not wait for its CONNECT is closed, and its event never runs."""
    peer = story.enter()
    peer.emit("e")
    assert peer.connection.session.closed
    story.decide()
    assert story.notes == ["transport error"]


# Refusing


class Foreign(Exception):  # noqa: N818 (made to be renamed)
    """An exception of another library that has a payload."""

    def __init__(self, payload: Any) -> None:
        super().__init__()
        self.error_args = payload


class _Named(Foreign):
    """One that is called like ours."""


_Named.__name__ = "ConnectionRefusedError"

REFUSED = {"message": "Connection rejected by server"}


@pytest.mark.parametrize(
    ("error", "payload"),
    [
        (ConnectionRefusedError(), REFUSED),
        (ConnectionRefusedError("no", 1), {"message": "no", "data": 1}),
        (_Named({"message": "x"}), {"message": "x"}),
        (_Named("x"), {"message": "x"}),
        (builtins.ConnectionRefusedError("database"), None),
        (Foreign({"message": "x"}), None),
        (ValueError(), None),
    ],
)
def test_refusal_is_known_by_its_name_and_payload(error: Exception, payload: Any) -> None:
    """python-socketio's exception counts; that a database refused the application refuses no client."""
    assert refusal_data(error) == payload


@pytest.mark.parametrize(
    ("verdict", "payload", "tracebacks"),
    [
        (False, REFUSED, 0),
        (ConnectionRefusedError("no", {"a": 1}), {"message": "no", "data": {"a": 1}}, 0),
        (ValueError("broken"), REFUSED, 1),
        (builtins.ConnectionRefusedError("database"), REFUSED, 1),
        (SystemExit(1), REFUSED, 1),
        (lambda client: client.connection._owner.disconnect(client.sid), REFUSED, 0),
        (ConnectionRefusedError("no", object()), REFUSED, 1),
    ],
    ids=["False", "refusal", "exception", "builtin", "exit", "disconnect", "unencodable"],
)
def test_refused_client_is_told_why_and_leaves_nothing_behind(
    story: Story, verdict: Any, payload: Any, tracebacks: int
) -> None:
    """It gets a CONNECT_ERROR and nothing of what was held; no disconnect handler runs."""
    peer = story.enter(verdict)
    story.world.server.enter_room(story.client.sid, "room")
    story.world.server.emit("held", rooms=["room"])
    story.decide()
    story.world.server.emit("late")
    story.world.settle()
    assert peer.received() == [(CONNECT_ERROR, "/", None, payload)]
    assert story.notes == []
    assert len(story.world.tracebacks()) == tracebacks
    assert story.world.server.adapter.namespaces() == ()
    assert story.world.server.lifecycle.leaving == {}
    assert peer.connection.clients == {}
    assert not peer.connection.session.closed


def test_refused_client_may_try_again(story: Story) -> None:
    """A later CONNECT is a new client, which may be accepted."""
    peer = story.enter(False)
    story.decide()
    story.verdict = None
    peer.ask()
    story.world.settle()
    assert [type for type, *_ in peer.received()] == [CONNECT_ERROR, CONNECT]


def test_event_of_a_refused_client_breaks_the_protocol(story: Story) -> None:
    """It was never told that it may send anything."""
    peer = story.enter(False)
    story.decide()
    peer.emit("e")
    assert isinstance(peer.connection.failure, PacketError)


@pytest.mark.parametrize(
    ("namespaces", "handler", "asked", "accepted"),
    [
        (None, None, "/", True),
        (None, None, "/a", False),
        (None, "/a", "/a", True),
        (None, "*", "/a", True),
        (["/a"], None, "/a", True),
        (["/a"], None, "/", False),
        ("*", None, "/any", True),
    ],
)
def test_namespace_is_accepted_if_it_is_known(
    make_world: Callable[..., Any], namespaces: Any, handler: str | None, asked: str, accepted: bool
) -> None:
    """It is known by the option or by a handler; an unknown one is refused, and the connection goes on."""
    world = make_world(namespaces=namespaces)
    if handler is not None:
        world.on("e", handler)(lambda client: None)
    peer = world.peer()
    peer.ask(asked)
    world.settle()
    expected = CONNECT if accepted else CONNECT_ERROR
    (packet,) = peer.received()
    assert packet[:2] == (expected, asked)
    assert accepted or packet[3] == {"message": "Invalid namespace"}
    assert not peer.connection.session.closed


def test_connection_joins_a_bounded_number_of_namespaces(make_world: Callable[..., Any]) -> None:
    """One more is refused; those that it has left make room."""
    world = make_world(namespaces="*", max_namespaces=2)
    peer = world.peer()
    peer.join("/a")
    peer.join("/b")
    peer.ask("/c")
    world.settle()
    assert peer.received() == [(CONNECT_ERROR, "/c", None, {"message": "Too many namespaces"})]
    peer.leave("/a")
    peer.join("/c")
    assert set(peer.connection.clients) == {"/b", "/c"}


@pytest.mark.parametrize("accepted", [False, True])
def test_second_connect_breaks_the_protocol(story: Story, accepted: bool) -> None:
    """A namespace is joined once at a time, while the first CONNECT is decided and after it."""
    peer = story.enter()
    if accepted:
        story.decide()
    peer.ask()
    assert isinstance(peer.connection.failure, PacketError)
    story.decide()
    assert story.notes == ["transport error"]


# Leaving while connecting


@pytest.mark.parametrize(
    ("leave", "reason"),
    [
        (lambda peer: peer.leave(), "client disconnect"),
        (lambda peer: peer.connection.transport_lost(peer.wire, "transport close"), "transport close"),
        (lambda peer: peer.connection.receive_text(b"1"), "client disconnect"),
    ],
    ids=["disconnect", "lost", "close"],
)
def test_client_that_leaves_while_it_is_accepted_gets_one_disconnect_handler(
    story: Story, leave: Callable[[Any], None], reason: str
) -> None:
    """It was accepted, so that what its connect handler began is ended; it receives nothing."""
    readable: list[Any] = []
    story.world.on("disconnect")(
        lambda client, reason: (story.notes.append(reason), readable.extend(client.rooms))
    )
    peer = story.enter(lambda client: story.world.server.enter_room(client.sid, "room"))
    leave(peer)
    leave(peer)
    story.world.server.emit("e")
    story.decide()
    assert story.notes == [reason]
    assert readable == ["room"]
    assert peer.received() == []
    assert story.client.state is ClientState.GONE
    assert story.world.server.adapter.namespaces() == ()
    assert story.world.server.lifecycle.leaving == {}


def test_client_that_leaves_while_it_is_refused_gets_no_disconnect_handler(story: Story) -> None:
    """It was not accepted: nothing is told to it, and nothing is ended."""
    peer = story.enter(False)
    peer.leave()
    story.decide()
    assert story.notes == []
    assert peer.received() == []
    assert story.world.server.adapter.namespaces() == ()


def test_connect_handler_that_waits_for_a_client_that_leaves_is_told_at_once(story: Story) -> None:
    """A `call` in a connect handler ends when its client leaves, not at its time-out."""
    errors: list[BaseException] = []

    def ask(client: Client) -> None:
        try:
            story.world.server.call("q", rooms=[client.sid], timeout=10)
        except TimeoutError as error:
            errors.append(error)

    peer = story.enter(ask)
    story.go.set()
    story.world.until(lambda: story.client.acks)
    peer.leave()
    story.world.settle()
    assert len(errors) == 1
    assert story.notes == ["client disconnect"]


# Leaving


def test_disconnected_client_is_told_and_takes_its_leave_once(story: Story) -> None:
    """It gets a DISCONNECT and nothing after it, whatever was under way; a second call changes nothing."""
    peer = story.enter()
    story.decide()
    server, sid = story.world.server, story.client.sid
    server.emit("before")
    server.disconnect(sid)
    server.disconnect(sid)
    server.emit("after")
    story.world.settle()
    assert [(type, data) for type, _, _, data in peer.received()] == [
        (CONNECT, {"sid": sid}),
        (EVENT, ["before"]),
        (DISCONNECT, None),
    ]
    assert story.notes == ["server disconnect"]
    assert not peer.connection.session.closed


def test_rooms_are_readable_in_the_disconnect_handler_only(story: Story) -> None:
    """A leaving client is no recipient any more, but its handler sees where it was; changes are let go by."""
    server = story.world.server
    seen: list[Any] = []

    @story.world.on("disconnect")
    def disconnect(client: Client, reason: str) -> None:
        server.enter_room(client.sid, "other")
        server.leave_room(client.sid, "room")
        seen.extend((server.rooms(client.sid), server.client(client.sid) is client))
        seen.append(server.adapter.recipients("/"))

    peer = story.enter(lambda client: server.enter_room(client.sid, "room"))
    story.decide()
    sid = story.client.sid
    peer.leave()
    story.world.settle()
    assert seen == [[sid, "room"], True, ()]
    with pytest.raises(ValueError, match="no client"):
        server.rooms(sid)
    with pytest.raises(ValueError, match="no client"):
        server.enter_room(sid, "room")
    with pytest.raises(ValueError, match="no client"):
        server.leave_room(sid, "room")


def test_client_that_comes_back_at_once_is_another(story: Story) -> None:
    """A CONNECT right behind the DISCONNECT is a new client, while the old one's handler still runs."""
    inside, go = threading.Event(), threading.Event()

    @story.world.on("disconnect")
    def disconnect(client: Client, reason: str) -> None:
        inside.set()
        assert go.wait(10)
        story.notes.append(client)

    peer = story.enter()
    story.decide()
    first = story.client
    peer.leave()
    peer.ask()
    story.world.until(inside.is_set)
    story.world.hand_off()
    story.world.until(lambda: story.client is not first)
    story.world.until(lambda: story.client.state is ClientState.CONNECTED)
    story.world.server.emit("stale", rooms=[first.sid])
    story.world.server.emit("fresh")
    story.world.settle_loop()
    assert [data for type, _, _, data in peer.received()][2:] == [["fresh"]]
    go.set()
    story.world.settle()
    assert story.notes == [first]
    assert story.client.state is ClientState.CONNECTED


@pytest.mark.parametrize("by_server", [True, False])
def test_packets_under_way_after_the_end_are_ignored(story: Story, by_server: bool) -> None:
    """What crossed with the DISCONNECT breaks nothing and runs nothing."""
    peer = story.enter()
    story.decide()
    if by_server:
        story.world.server.disconnect(story.client.sid)
        story.world.settle()
    else:
        peer.leave()
    peer.emit("e")
    peer.acknowledge(0)
    peer.leave()
    story.world.settle()
    assert story.notes == ["server disconnect" if by_server else "client disconnect"]
    assert not peer.connection.session.closed


def test_other_namespaces_do_not_notice(world: Any) -> None:
    """Leaving one namespace leaves the others of the connection as they are."""
    world.on("e", "/a")(lambda client: "here")
    peer = world.peer()
    peer.join()
    peer.join("/a")
    peer.leave()
    world.settle()
    peer.emit("e", namespace="/a", number=1)
    world.settle()
    assert peer.received() == [(3, "/a", 1, ["here"])]


@pytest.mark.parametrize("type", [EVENT, 3, DISCONNECT])
def test_packet_for_a_namespace_that_was_not_joined_breaks_the_protocol(world: Any, type: int) -> None:
    """Only a CONNECT may come first."""
    peer = world.peer()
    peer.send(type, "/", 0 if type == 3 else None, None if type == DISCONNECT else ["e"])
    assert isinstance(peer.connection.failure, PacketError)


def test_connect_behind_the_end_of_the_session_makes_no_client(world: Any) -> None:
    """A CONNECT of the same read as the end finds nobody who would take leave of it."""
    peer = world.peer()
    peer.connection.receive_text(b"1")
    peer.ask()
    world.settle()
    assert world.server.adapter.namespaces() == ()
    assert peer.connection.clients == {}


def test_exception_of_a_disconnect_handler_is_logged_and_the_client_goes(story: Story) -> None:
    """Nothing is left behind by a handler that fails."""
    story.world.on("disconnect")(lambda client, reason: 1 / 0)
    peer = story.enter()
    story.decide()
    peer.leave()
    story.world.settle()
    assert [type(error) for error in story.world.tracebacks()] == [ZeroDivisionError]
    assert story.world.server.lifecycle.leaving == {}
    assert story.client.state is ClientState.GONE


# In-memory clients


def test_in_memory_client_lives_in_its_caller_s_thread(make_world: Callable[..., Any]) -> None:
    """Connecting, being thrown out and coming back need neither loop nor thread."""
    world = make_world()
    world.hub.detach()
    notes: list[Any] = []
    world.on("connect")(lambda client, environ, auth: auth)
    world.on("disconnect")(lambda client, reason: notes.append(reason))
    memory = MemoryConnection(world.server, {})
    memory.submit(CONNECT, "/", None, {"welcome": True})
    sid = memory.clients["/"].sid
    world.server.disconnect(sid)
    assert notes == ["server disconnect"]
    assert [type for type, *_ in memory.transport.received] == [CONNECT, DISCONNECT]
    with pytest.raises(NotConnectedError):
        world.server.client(sid)
    memory.submit(CONNECT, "/", None, None)
    memory.hang_up()
    assert notes == ["server disconnect", "transport close"]
    assert world.server.adapter.namespaces() == ()
    world.hub.attach(world.loop)


# always_connect


def test_client_is_told_first_and_decided_later(make_story: Callable[..., Story]) -> None:
    """With `always_connect` the CONNECT does not wait for the handler, nor does what is emitted."""
    story = make_story(always_connect=True)
    peer = story.enter()
    story.world.server.emit("early")
    story.world.settle_loop()
    assert [type for type, *_ in peer.received()] == [CONNECT, EVENT]
    story.decide()
    assert peer.received() == []


def test_events_before_the_decision_run_after_it(make_story: Callable[..., Story]) -> None:
    """A client that was told that it is connected may send; its events wait, in order."""
    story = make_story(always_connect=True)
    peer = story.enter()
    peer.emit("e", 1)
    peer.emit("e", 2)
    story.world.settle_loop()
    assert story.notes == []
    story.decide()
    assert story.notes == [("e", 1), ("e", 2)]
    assert peer.connection.waiting == 0


def test_events_before_the_decision_hold_their_client_back(make_story: Callable[..., Story]) -> None:
    """They count like all that waits: nothing is dropped, and nothing grows without a bound."""
    story = make_story(always_connect=True, max_queued_events=4)
    peer = story.enter()
    for number in range(4):
        peer.emit("e", number)
    assert not peer.wire.reading
    story.decide()
    story.world.until(lambda: peer.wire.reading)
    assert story.notes == [("e", number) for number in range(4)]


def test_events_that_nobody_handles_do_not_hold_their_client_back_for_good(
    make_story: Callable[..., Story],
) -> None:
    """Nothing begins for them after the acceptance that could say at its end that there is room again."""
    story = make_story(always_connect=True, max_queued_events=4)
    peer = story.enter()
    for _ in range(4):
        peer.emit("unknown")
    assert not peer.wire.reading
    story.decide()
    assert peer.wire.reading


def test_events_of_a_refused_client_never_run(make_story: Callable[..., Story]) -> None:
    """It is told of the refusal with a DISCONNECT, and what it sends meanwhile is ignored."""
    story = make_story(always_connect=True, max_queued_events=4)
    peer = story.enter(False)
    for number in range(4):
        peer.emit("e", number)
    story.decide()
    peer.emit("e", 5)
    story.world.settle()
    assert [type for type, *_ in peer.received()] == [CONNECT, DISCONNECT]
    assert story.notes == []
    assert peer.wire.reading
    assert (peer.connection.waiting, peer.connection.session.closed) == (0, False)


def test_events_of_a_client_that_left_before_the_decision_run_before_its_leave(
    make_story: Callable[..., Story],
) -> None:
    """What it sent before it left counts once it is accepted."""
    story = make_story(always_connect=True)
    peer = story.enter()
    peer.emit("e", 1)
    peer.leave()
    story.decide()
    assert story.notes == [("e", 1), "client disconnect"]

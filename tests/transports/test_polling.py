"""Long polling, request by request, in the loop's thread."""

from __future__ import annotations

import asyncio

import pytest
import serving
from polled import Body, Candidate, Poller, at_endpoint, settle

from carboy.runtime.message import Message
from carboy.runtime.server import Server
from carboy.transports.polling import PollingTransport


def recording(**options) -> tuple[Server, list]:
    """Return a server, and what its coroutine handlers see."""
    server, seen = serving.make_server(**options), []

    async def tell(client, *arguments):
        seen.append(arguments[0])

    async def disconnect(client, reason):
        seen.append(reason)

    async def echo(client, *arguments):
        return arguments

    serving.on(server, "tell", tell)
    serving.on(server, "disconnect", disconnect)
    serving.on(server, "echo", echo)
    return server, seen


def polled(test, **options) -> None:
    """Run a test of a joined polling client and what the handlers saw."""
    server, seen = recording(**options)

    async def run(poller: Poller) -> None:
        await poller.open()
        await poller.join()
        await test(poller, seen)

    at_endpoint(run, server)


# Polls


def test_poll_waits_for_output_and_takes_all_of_one_round() -> None:
    """A GET returns with everything that a round of the loop produced, in order."""

    async def test(poller: Poller, seen: list) -> None:
        waiting = poller.begin(poller.poll())
        await settle()
        for number in range(3):
            poller.connection.send(Message(b"4%d" % number, (b"\x00",) if number == 1 else ()))
        assert (await waiting).body == b"40\x1e41\x1ebAA==\x1e42"

    polled(test)


def test_poll_takes_what_waits_at_once() -> None:
    """Output that came between two polls is in the next one, and only there."""

    async def test(poller: Poller, seen: list) -> None:
        poller.connection.send(Message(b"4first"))
        await settle()
        poller.connection.send(Message(b"4second"))
        await settle()
        assert (await poller.poll()).body == b"4first\x1e4second"
        waiting = poller.begin(poller.poll())
        await settle()
        assert not waiting.done()
        poller.connection.send(Message(b"4third"))
        assert (await waiting).body == b"4third"

    polled(test)


def test_second_poll_ends_the_session() -> None:
    """Two GETs at once: the first returns with a close packet, the second with 400 (Node behaviour)."""

    async def test(poller: Poller, seen: list) -> None:
        first = poller.begin(poller.poll())
        await settle()
        second = await poller.poll()
        assert ((await first).body, second.status, second.body) == (b"1", 400, b"")
        await settle()
        assert seen == ["transport error"]
        assert (await poller.poll()).status == 400

    polled(test)


def test_poll_that_is_given_up_ends_the_session() -> None:
    """An aborted GET is a transport error (Node behaviour)."""

    async def test(poller: Poller, seen: list) -> None:
        body = Body()
        waiting = poller.begin(poller.poll(body))
        await settle()
        body.leave()
        assert (await waiting).status == 400
        await settle()
        assert seen == ["transport error"]

    polled(test)


# Posts


def test_post_brings_many_packets_in_their_order() -> None:
    """All packets of one body are dispatched, text and binary, before the answer."""

    async def test(poller: Poller, seen: list) -> None:
        texts = [b'42["tell",%d]' % number for number in range(50)]
        attached = b'451-["tell",{"_placeholder":true,"num":0}]\x1ebAP8='
        reply = await poller.post(b"\x1e".join(texts) + b"\x1e" + attached)
        assert (reply.status, reply.body, ("Content-Type", "text/html") in reply.headers) == (
            200,
            b"ok",
            True,
        )
        await settle()
        assert seen == [*range(50), b"\x00\xff"]

    polled(test)


def test_second_post_ends_the_session() -> None:
    """Two POSTs at once: the second gets 400, and so does the first when its body is there."""

    async def test(poller: Poller, seen: list) -> None:
        slow = Body(None)
        first = poller.begin(poller.post(slow))
        waiting = poller.begin(poller.poll())
        await settle()
        assert (await poller.post(b"3")).status == 400
        assert (await waiting).body == b"1"
        slow.arrive(b'42["tell",1]')
        assert (await first).status == 400
        await settle()
        assert seen == ["transport error"]

    polled(test)


def test_post_that_is_given_up_ends_the_session() -> None:
    """An aborted POST is a transport error (Node behaviour)."""

    async def test(poller: Poller, seen: list) -> None:
        body = Body(None)
        first = poller.begin(poller.post(body))
        await settle()
        body.leave()
        assert (await first).status == 400
        await settle()
        assert seen == ["transport error"]

    polled(test)


BAD_BODIES = {
    "empty": b"",
    "an empty packet": b"3\x1e\x1e3",
    "an unknown type": b"9",
    "base64 that is none": b"b***",
    "a message that is none": b"4x",
    "an event of a namespace that was not joined": b'42/other,["a"]',
    "a ping of Engine.IO v3": b"2",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_post_that_cannot_be_read_ends_the_session(body: bytes) -> None:
    """Such a POST gets 400, and a poll that waits a close packet."""

    async def test(poller: Poller, seen: list) -> None:
        waiting = poller.begin(poller.poll())
        await settle()
        reply = await poller.post(body)
        assert (reply.status, reply.body) == (400, b"")
        assert (await waiting).body == b"1"
        assert (await poller.poll()).body == b'{"code":1,"message":"Session ID unknown"}'
        await settle()
        assert seen == ["transport error"]

    polled(test)


def test_post_stops_at_the_packet_that_breaks_a_rule() -> None:
    """What stands before it counts, what stands behind it does not."""

    async def test(poller: Poller, seen: list) -> None:
        assert (await poller.post(b'42["tell",1]\x1e4x\x1e42["tell",2]')).status == 400
        await settle()
        assert seen == [1, "transport error"]

    polled(test)


def test_post_with_too_many_packets_ends_the_session() -> None:
    """The number of packets in a body is bounded by an option, whatever their size."""
    server, _ = recording(max_payload_packets=10)

    async def test(poller: Poller) -> None:
        await poller.open()
        assert (await poller.post(b"\x1e".join([b"3"] * 11))).status == 413
        assert not server.connections

    at_endpoint(test, server)


def test_post_of_the_client_s_close_packet_is_answered() -> None:
    """The POST gets "ok", the poll that waits a NOOP; packets behind the close are dropped, a CONNECT too."""

    async def test(poller: Poller, seen: list) -> None:
        async def connect(client, environ, auth):
            seen.append("connect")

        serving.on(poller.endpoint._server, "connect", connect)
        waiting = poller.begin(poller.poll())
        await settle()
        assert (await poller.post(b'1\x1e42["tell",1]\x1e40')).body == b"ok"
        assert (await waiting).body == b"6"
        await settle()
        assert seen == ["client disconnect"]

    polled(test)


def hold(poller: Poller) -> asyncio.Event:
    """Add an event whose handler waits for a gate; return the gate."""
    gate = asyncio.Event()

    async def wait(client) -> None:
        await gate.wait()

    serving.on(poller.endpoint._server, "hold", wait)
    return gate


def hold_back(poller: Poller) -> tuple[asyncio.Event, asyncio.Future]:
    """Send an event that fills the queue until the gate is opened; return the gate and the POST."""
    return hold(poller), poller.begin(poller.post(b'42["hold"]'))


def test_post_is_answered_when_the_client_is_read_again() -> None:
    """While too many events wait, the answer is held back, so that the client sends no more."""

    async def test(poller: Poller, seen: list) -> None:
        gate, held = hold_back(poller)
        await settle()
        assert not held.done()
        gate.set()
        assert (await held).body == b"ok"
        assert (await poller.post(b"3")).body == b"ok"

    polled(test, max_queued_events=1)


def test_post_that_brings_too_many_events_and_the_close_is_answered() -> None:
    """The session is over before the answer is held back: there is nothing that it could wait for."""

    async def test(poller: Poller, seen: list) -> None:
        waiting = poller.begin(poller.poll())
        await settle()
        assert (await poller.post(b'42["tell",1]\x1e42["tell",2]\x1e1')).body == b"ok"
        assert (await waiting).body == b"6"

    polled(test, max_queued_events=1)


@pytest.mark.parametrize("end", ["close", "release"])
def test_post_that_is_held_back_is_answered_at_the_end(end: str) -> None:
    """A close or an upgrade does not leave it hanging."""

    async def test(poller: Poller, seen: list) -> None:
        gate, held = hold_back(poller)
        await settle()
        transport = poller.connection.transport
        assert isinstance(transport, PollingTransport)
        assert not held.done()
        transport.close(1000) if end == "close" else transport.release()
        assert (await held).body == b"ok"
        gate.set()
        await settle()

    polled(test, max_queued_events=1)


# The server's close


def close(poller: Poller) -> None:
    """Close a session as the server does."""
    poller.connection.close(serving_input(), 1000)


def serving_input():
    """Return what stands for a close by the server."""
    from carboy.engineio.states import SessionInput

    return SessionInput.SERVER_CLOSED


def test_close_is_the_answer_to_a_poll_that_waits() -> None:
    """The poll returns "1", and the session is forgotten."""

    async def test(poller: Poller, seen: list) -> None:
        waiting = poller.begin(poller.poll())
        await settle()
        close(poller)
        assert (await waiting).body == b"1"
        assert (await poller.poll()).status == 400

    polled(test)


def test_close_is_heard_with_the_next_poll_behind_what_waits() -> None:
    """Without a poll, the next one gets the output that is left and then "1"; handlers hear of it at once."""

    async def test(poller: Poller, seen: list) -> None:
        poller.connection.send(Message(b"4last"))
        close(poller)
        await settle()
        assert seen == ["server disconnect"]
        assert (await poller.post(b'42["tell",1]')).body == b"ok"
        assert (await poller.poll()).body == b"4last\x1e1"
        assert (await poller.poll()).status == 400
        await settle()
        assert seen == ["server disconnect"]

    polled(test)


def test_close_that_nobody_asks_for_is_forgotten_after_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not poll any more keeps its session for a bounded time."""
    from carboy.runtime import connection as module

    monkeypatch.setattr(module, "CLOSE_FALLBACK", 0.01)

    async def test(poller: Poller, seen: list) -> None:
        connections = poller.endpoint._server.connections
        close(poller)
        assert connections
        while connections:  # noqa: ASYNC110  # a timer of the server ends it
            await asyncio.sleep(0)

    polled(test)


def test_poll_past_the_ping_timeout_finds_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is over when its time is up, though the timers have not ticked since."""

    async def test(poller: Poller, seen: list) -> None:
        hub = poller.endpoint._server.hub
        began = hub.now()
        monkeypatch.setattr(hub, "now", lambda: began + 25.1)
        assert (await poller.poll()).body == b"2"
        monkeypatch.setattr(hub, "now", lambda: began + 45.1)
        assert (await poller.poll()).status == 400
        await settle()
        assert seen == ["ping timeout"]

    polled(test)


# The upgrade


async def begin_upgrade(poller: Poller) -> Candidate:
    """Attach a websocket."""
    websocket = Candidate()
    poller.connection.attach(websocket)
    await settle()
    return websocket


def test_upgrade_moves_everything_in_order() -> None:
    """What is sent before, during and after the switch arrives once each, polled first; input likewise."""

    async def test(poller: Poller, seen: list) -> None:
        connection = poller.connection
        waiting = poller.begin(poller.poll())
        websocket = await begin_upgrade(poller)
        connection.send(Message(b"4a"))
        assert (await waiting).body == b"4a"
        waiting = poller.begin(poller.poll())
        await settle()
        assert not waiting.done(), "an unprobed websocket changes nothing"
        websocket.receiver.receive_text(b"2probe")
        assert websocket.received == [b"3probe"]
        assert (await waiting).body == b"6"
        connection.send(Message(b"4b"))
        await settle()
        assert (await poller.post(b'42["tell",1]')).body == b"ok"
        assert (await poller.poll()).body == b"4b"
        assert (await poller.poll()).body == b"6"
        connection.send(Message(b"4c"))
        websocket.receiver.receive_text(b"5")
        connection.send(Message(b"4d"))
        websocket.receiver.receive_text(b'42["tell",2]')
        await settle()
        assert websocket.received == [b"3probe", b"4c", b"4d"]
        assert seen == [1, 2]
        reply = await poller.poll()
        assert (reply.status, reply.body) == (400, b'{"code":3,"message":"Bad request"}')

    polled(test)


def test_upgrade_without_a_probe_lets_a_poll_return() -> None:
    """Node takes a "5" at once; the poll that waits gets a NOOP."""

    async def test(poller: Poller, seen: list) -> None:
        waiting = poller.begin(poller.poll())
        websocket = await begin_upgrade(poller)
        websocket.receiver.receive_text(b"5")
        assert (await waiting).body == b"6"
        assert poller.connection.transport is websocket

    polled(test)


@pytest.mark.parametrize("packet", [b"3probe", b"40", b"2", b"1"])
@pytest.mark.parametrize("probed", [False, True])
def test_upgrade_that_goes_wrong_costs_the_websocket_only(packet: bytes, probed: bool) -> None:
    """Any packet but the probe and the upgrade closes the websocket; polling goes on, and may try again."""

    async def test(poller: Poller, seen: list) -> None:
        websocket = await begin_upgrade(poller)
        if probed:
            websocket.receiver.receive_text(b"2probe")
        websocket.receiver.receive_text(packet)
        assert websocket.closed == 1000
        waiting = poller.begin(poller.poll())
        await settle()
        poller.connection.send(Message(b"4still"))
        assert (await waiting).body == b"4still"
        again = await begin_upgrade(poller)
        again.receiver.receive_text(b"2probe")
        assert again.received == [b"3probe"]

    polled(test)


def test_upgrade_whose_websocket_is_lost_leaves_polling_as_it_was() -> None:
    """A websocket that is lost between the probe and the upgrade is not the end of the session."""

    async def test(poller: Poller, seen: list) -> None:
        websocket = await begin_upgrade(poller)
        websocket.receiver.receive_text(b"2probe")
        poller.connection.transport_lost(websocket, "transport close")
        waiting = poller.begin(poller.poll())
        await settle()
        assert not waiting.done()
        poller.connection.send(Message(b"4still"))
        assert (await waiting).body == b"4still"
        assert seen == []

    polled(test)


def test_second_upgrade_is_refused() -> None:
    """While a websocket is attached, and after the switch, another is closed; the first is not concerned."""

    async def test(poller: Poller, seen: list) -> None:
        first = await begin_upgrade(poller)
        assert (await begin_upgrade(poller)).closed == 1000
        first.receiver.receive_text(b"2probe")
        first.receiver.receive_text(b"5")
        assert (await begin_upgrade(poller)).closed == 1000
        assert first.closed is None

    polled(test)


def test_upgrade_that_takes_too_long_is_given_up() -> None:
    """After `upgrade_timeout` the websocket is closed and polling goes on."""
    server, _ = recording(upgrade_timeout=0.01)

    async def test(poller: Poller) -> None:
        await poller.open()
        await poller.join()
        websocket = await begin_upgrade(poller)
        websocket.receiver.receive_text(b"2probe")
        while websocket.closed is None:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0)
        assert (await poller.post(b"3")).body == b"ok"

    at_endpoint(test, server)


def test_upgrade_keeps_a_client_paused() -> None:
    """A POST that is held back returns with the switch; the websocket is not read until the client is."""

    async def test(poller: Poller, seen: list) -> None:
        websocket = await begin_upgrade(poller)
        gate, held = hold_back(poller)
        await settle()
        websocket.receiver.receive_text(b"5")
        assert ((await held).body, websocket.paused) == (b"ok", True)
        gate.set()
        await settle()
        assert not websocket.paused

    polled(test, max_queued_events=1)


def test_post_whose_body_comes_after_the_upgrade_is_answered() -> None:
    """It is the websocket then that is not read; nobody would come back to the request."""

    async def test(poller: Poller, seen: list) -> None:
        websocket = await begin_upgrade(poller)
        gate, body = hold(poller), Body(None)
        post = poller.begin(poller.post(body))
        await settle()
        websocket.receiver.receive_text(b"5")
        body.arrive(b'42["hold"]')
        assert ((await post).body, websocket.paused) == (b"ok", True)
        gate.set()
        await settle()
        assert not websocket.paused

    polled(test, max_queued_events=1)


def test_upgrade_while_the_session_closes_brings_the_rest() -> None:
    """A client that has stopped polling hears the end on its websocket."""

    async def test(poller: Poller, seen: list) -> None:
        websocket = await begin_upgrade(poller)
        websocket.receiver.receive_text(b"2probe")
        poller.connection.send(Message(b"4last"))
        close(poller)
        websocket.receiver.receive_text(b"5")
        await settle()
        assert (websocket.received, websocket.closed) == ([b"3probe", b"4last"], 1000)

    polled(test)

"""A worker of several: its name, what reaches the clients of the others, and how it leaves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import serving
from colleagues import make_master, membership, serve
from serving import POLLING, Site, on

from carboy.adapters.bus import Receive
from carboy.runtime.client import Client


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all servers broadcast, move clients and ask them."""
    make = serving.make_server

    def make_server(**options: object) -> object:
        server = make(**options)

        def ask(client: Client, sid: str) -> list[object]:
            return list(server.call("question", ["?"], rooms=[sid], timeout=5))

        on(server, "broadcast", lambda client, value: server.emit("news", [value]))
        on(server, "join", lambda client, sid, room: server.enter_room(sid, room))
        on(server, "tell room", lambda client, room, value: server.emit("news", [value], rooms=[room]))
        on(server, "kick", lambda client, sid: server.disconnect(sid))
        on(server, "ask", ask)
        return server

    monkeypatch.setattr(serving, "make_server", make_server)


def join(site: Site) -> tuple[object, str]:
    """Open a websocket, and return it with the id of its client."""
    client = site.websocket(join=False)
    client.send_text("40")
    return client, client.read_text().split('"')[3]


class Queue:
    """A bus on which nobody else is."""

    node = "queue"
    complete = False

    def start(self, receive: Receive, gone: Callable[[str], None], *, listen: bool = True) -> None:
        """Begin."""

    def wait(self, timeout: float) -> bool:
        """Wait for nothing."""
        return True

    def publish(self, message: bytes, node: str | None = None) -> None:
        """Reach nobody."""

    def nodes(self) -> frozenset[str]:
        """Return nobody."""
        return frozenset()

    def forget(self, node: str) -> None:
        """Forget nobody."""

    def close(self) -> None:
        """End."""


@pytest.mark.usefixtures("handlers")
def test_broadcasts_rooms_and_disconnects_span_the_workers() -> None:
    """What one worker is told reaches the clients of the other, and each client once."""
    with serve() as (one, other):
        (near, _), (far, sid) = join(one), join(other)
        with near, far:
            near.send_text('42["broadcast",1]')
            assert near.read_text() == far.read_text() == '42["news",1]'
            near.send_text(f'421["join","{sid}","room"]')
            assert near.read_text().startswith("431")
            near.send_text('42["tell room","room",2]')
            assert far.read_text() == '42["news",2]'
            near.send_text(f'42["kick","{sid}"]')
            assert far.read_text() == "41"
            near.send_text('42["broadcast",3]')
            assert near.read_text() == '42["news",3]'


@pytest.mark.usefixtures("handlers")
def test_client_of_another_worker_answers_a_question() -> None:
    """`call` waits for it as for one of this process."""
    with serve() as (one, other):
        (near, _), (far, sid) = join(one), join(other)
        with near, far:
            near.send_text(f'421["ask","{sid}"]')
            number = far.read_text().partition("[")[0].removeprefix("42")
            far.send_text(f'43{number}["yes"]')
            assert near.read_text() == '431[["yes"]]'


def test_ids_of_a_worker_begin_with_its_name() -> None:
    """Those of sessions and of clients; the names differ."""
    with serve() as sites:
        names = {site.server.name for site in sites}
        assert len(names) == 2
        for site in sites:
            with site.websocket(join=False) as client:
                assert client.session["sid"].startswith(site.server.name)
                client.send_text("40")
                assert client.read_text().startswith(f'40{{"sid":"{site.server.name}')


def test_process_without_a_master_has_no_name(base: Path) -> None:
    """And nothing is put anywhere."""
    with serving.serve() as site, site.client() as client:
        assert site.server.name == ""
        assert client.request("GET", POLLING).status == 200
        assert site.server.cluster is None
    assert list(base.iterdir()) == []


def test_nothing_is_left_when_all_have_stopped(base: Path) -> None:
    """No socket, no directory, no cluster."""
    with serve() as sites:
        assert len(list(base.iterdir())) == 1
    assert list(base.iterdir()) == []
    assert {site.server.cluster for site in sites} == {None}


def test_worker_without_a_place_serves_alone(base: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line says what does not work then."""
    master = make_master()
    with serving.serve(master=master):
        (folder,) = base.iterdir()
        folder.chmod(0o755)
        with serving.serve(master=master) as other, other.client() as client:
            assert client.request("GET", POLLING).status == 200
            assert other.server.name == ""
    assert caplog.text.count("does not find the others") == 1
    assert "this user's alone" in caplog.text


def test_worker_with_a_message_queue_keeps_it() -> None:
    """Its broadcasts reach the other workers through the queue; only requests are relayed."""
    server = serving.make_server()
    queue = Queue()
    server.join(queue)
    with serving.serve(server, master=make_master()) as site:
        assert site.server.cluster is not None
        assert site.server.cluster.bus is queue
        assert site.server.name != ""
    assert server.cluster is not None


def test_forked_child_keeps_nothing_open() -> None:
    """So the others notice when the worker dies, though the child lives on."""
    with serve() as (one, _):
        peers = membership(one).peers
        files = [peers._listener.fileno(), *(link._connection.fileno() for link in peers._links.values())]
        child = os.fork()
        if child == 0:
            closed = 0
            for file in files:
                closed += not Path(f"/dev/fd/{file}").exists()
            os._exit(closed)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == len(files)
        assert all(os.fstat(file) for file in files)
        assert one.server.name != ""

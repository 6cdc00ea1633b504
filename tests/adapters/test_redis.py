"""The driver for Redis reaches each kind of Redis, and understands python-socketio's RedisManager."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import brokers
import socketio
from carboy.adapters.drivers import make_driver
from carboy.exceptions import BrokerError
from ports import free_port

CHANNEL = "flask-socketio"


async def passes_a_message(url: str, **options) -> None:
    """Assert that one driver's message reaches another."""
    sender, receiver = make_driver(url, options), make_driver(url, options)
    try:
        await sender.connect([CHANNEL])
        await receiver.connect([CHANNEL])
        await sender.publish([(CHANNEL, b"1")])
        assert await asyncio.wait_for(receiver.receive(), 10) == [b"1"]
    finally:
        await sender.close()
        await receiver.close()


async def failure(url: str, **options) -> str:
    """Return what a driver says that cannot connect."""
    driver = make_driver(url, {"timeout": 10, **options})
    with pytest.raises(BrokerError) as raised:
        await driver.connect([CHANNEL])
    await driver.close()
    return str(raised.value)


@pytest.fixture
def redis(start_broker: Callable[..., brokers.Redis]) -> brokers.Redis:
    """The Redis server of the run."""
    return start_broker(brokers.Redis)


def command(port: int, *words: str) -> str:
    """Send a command to a server without a password, and return its answer, or nothing when there is none."""
    with suppress(OSError), socket.create_connection((brokers.HOST, port), timeout=5) as connection:
        connection.sendall((" ".join(words) + "\r\n").encode())
        return connection.recv(65536).decode()
    return ""


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that another process is about to do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Open(brokers.Redis):
    """A server without a password, which other servers may talk to."""

    has_password = False

    def command(self) -> list[str]:
        """See `Broker.command`."""
        return [
            "redis-server",
            "--port",
            str(self.port),
            "--bind",
            brokers.HOST,
            "--save",
            "",
            *self.more_options(),
        ]


@pytest.fixture
def start_own(tmp_path: Path) -> Iterator[Callable[..., brokers.Broker]]:
    """Start brokers for one test alone."""
    own: list[brokers.Broker] = []

    def start(kind: type[brokers.Broker], **attributes: object) -> brokers.Broker:
        brokers.require(kind)
        folder = tmp_path / str(len(own))
        folder.mkdir()
        own.append(kind(folder))
        vars(own[-1]).update(attributes)
        own[-1].prepare()
        own[-1].start()
        return own[-1]

    yield start
    for broker in own:
        broker.stop()


def test_unix_socket_is_reached(redis):
    """Both schemes for Unix sockets carry messages, with a password; a wrong path is named."""
    for scheme in ("unix", "redis+unix", "valkey+unix"):
        asyncio.run(passes_a_message(f"{scheme}://:{brokers.ENCODED}@{redis.socket_file}"))
    assert "check the path" in asyncio.run(failure(f"unix://{redis.socket_file}.not"))


def test_password_that_is_missing_is_asked_for(redis):
    """A server that wants a password and gets none is told apart from one that is not there."""
    text = asyncio.run(failure(f"redis://{brokers.HOST}:{redis.port}"))
    assert "check the user name and the password" in text


def test_other_schemes_and_options_are_taken(redis):
    """Valkey's scheme, a database's number, options in the query and options by name all reach the server."""
    address = f"{brokers.HOST}:{redis.port}"
    asyncio.run(passes_a_message(f"valkey://:{brokers.ENCODED}@{address}/3?health_check_interval=10"))
    asyncio.run(passes_a_message(f"redis://{address}", password=brokers.PASSWORD, client_name="carboy"))


class WithTLS(Open):
    """A server that speaks TLS on its second port."""

    port_count = 2

    def prepare(self) -> None:
        """Make a certificate."""
        files = ["-keyout", "key.pem", "-out", "certificate.pem"]
        name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *files, *name]
        subprocess.run(make, cwd=self.folder, check=True, capture_output=True)

    def more_options(self) -> list[str]:
        """See `Redis.more_options`."""
        files = ["--tls-cert-file", "certificate.pem", "--tls-key-file", "key.pem"]
        return ["--tls-port", str(self.ports[1]), "--tls-auth-clients", "no", *files]


def test_tls_is_spoken_and_certificates_are_checked(start_broker):
    """`rediss://` trusts what it is told to trust, and says when it does not."""
    if shutil.which("openssl") is None:
        brokers.missing("openssl is not installed: nothing was tried with rediss://")
    broker = start_broker(WithTLS)
    authority = str(broker.folder / "certificate.pem")
    for scheme in ("rediss", "valkeys"):
        asyncio.run(passes_a_message(f"{scheme}://localhost:{broker.ports[1]}/0", ssl_ca_certs=authority))
    assert "check the certificates" in asyncio.run(failure(f"rediss://localhost:{broker.ports[1]}"))


class Node(Open):
    """A node of a Redis cluster, with a second port for the other nodes."""

    port_count = 2

    def more_options(self) -> list[str]:
        """See `Redis.more_options`."""
        return ["--cluster-enabled", "yes", "--cluster-port", str(self.ports[1])]


@pytest.fixture
def cluster(start_own: Callable[..., brokers.Broker]) -> list[brokers.Broker]:
    """Two nodes that know each other."""
    first, second = nodes = [start_own(Node), start_own(Node)]
    command(first.port, "CLUSTER", "MEET", brokers.HOST, str(second.port), str(second.ports[1]))
    command(first.port, "CLUSTER", "ADDSLOTSRANGE", "0", "8191")
    command(second.port, "CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
    for node in nodes:
        wait_until(lambda node=node: "cluster_state:ok" in command(node.port, "CLUSTER", "INFO"))
    return nodes


def test_cluster_carries_messages_between_its_nodes(cluster):
    """What is published at one node is received at another, and one node that is down does not matter."""
    first, second = (f"{brokers.HOST}:{node.port}" for node in cluster)

    async def scene() -> None:
        sender, receiver = (make_driver(f"redis+cluster://{address}") for address in (first, second))
        await sender.connect([CHANNEL])
        await receiver.connect([CHANNEL])
        await sender.publish([(CHANNEL, b"1")])
        assert await asyncio.wait_for(receiver.receive(), 10) == [b"1"]
        await sender.close()
        await receiver.close()

    asyncio.run(scene())
    cluster[0].stop()
    for _ in range(4):  # they are tried in any order
        asyncio.run(passes_a_message(f"redis+cluster://{first},{second}"))


class Sentinel(brokers.Broker):
    """A Sentinel that watches one master."""

    tools = ("redis-server",)
    hello = b"PING\r\n"
    master_port = 0

    def prepare(self) -> None:
        """See `Broker.prepare`."""
        lines = [
            f"bind {brokers.HOST}",
            f"port {self.port}",
            f"sentinel monitor service {brokers.HOST} {self.master_port} 1",
            "sentinel down-after-milliseconds service 1500",
            "sentinel failover-timeout service 2000",
        ]
        Path(self.folder, "sentinel.conf").write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        """See `Broker.command`."""
        return ["redis-server", "sentinel.conf", "--sentinel"]


@pytest.mark.timeout(150)
def test_sentinel_names_the_master_before_and_after_a_failover(start_own):
    """The driver finds the master, and after its death the replica in its place; a wrong service is named."""
    master, replica = start_own(Open), start_own(Open)
    command(replica.port, "REPLICAOF", brokers.HOST, str(master.port))
    wait_until(lambda: "master_link_status:up" in command(replica.port, "INFO", "replication"))
    sentinel = start_own(Sentinel, master_port=master.port)
    down = free_port()
    address = f"redis+sentinel://{brokers.HOST}:{down},{brokers.HOST}:{sentinel.port}/0"
    asyncio.run(passes_a_message(f"{address}/service"))
    assert "'other'" in asyncio.run(failure(f"{address}/other"))
    wait_until(lambda: str(replica.port) in command(sentinel.port, "SENTINEL", "REPLICAS", "service"))
    master.stop()
    named = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "service")
    wait_until(lambda: str(replica.port) in command(sentinel.port, *named), 60)
    wait_until(lambda: "role:master" in command(replica.port, "INFO", "replication"))
    asyncio.run(passes_a_message(f"{address}/service"))
    sentinel.stop()
    assert "check that it runs" in asyncio.run(failure(f"{address}/service"))


def test_redis_manager_is_heard(redis):
    """What a process of Flask-SocketIO publishes comes as the JSON that it wrote."""
    manager = socketio.RedisManager(redis.url, channel=CHANNEL, write_only=True)

    async def scene() -> None:
        driver = make_driver(redis.url)
        await driver.connect([CHANNEL])
        await asyncio.to_thread(manager.emit, "news", {"a": 1}, namespace="/")
        (message,) = await asyncio.wait_for(driver.receive(), 10)
        await driver.close()
        heard = json.loads(message)
        assert (heard["method"], heard["event"], heard["namespace"]) == ("emit", "news", "/")
        assert heard["host_id"] == manager.host_id

    asyncio.run(scene())
    manager.redis.close()


def test_redis_manager_hears(redis):
    """What a driver publishes comes to a process of Flask-SocketIO as the bytes that were published."""
    manager = socketio.RedisManager(redis.url, channel=CHANNEL)
    heard: list[bytes] = []
    listening = threading.Thread(target=lambda: heard.append(next(manager._listen())), daemon=True)
    listening.start()

    async def scene() -> None:
        driver = make_driver(redis.url)
        await driver.connect([f"{CHANNEL}.other"])
        while not heard:
            await driver.publish([(CHANNEL, b'{"method": "emit"}')])
            await asyncio.sleep(0.05)
        await driver.close()

    asyncio.run(asyncio.wait_for(scene(), 20))
    listening.join()
    manager.pubsub.close()
    manager.redis.close()
    assert heard == [b'{"method": "emit"}']

"""Real message brokers for the tests: processes on free ports of this machine, with a folder each.

`start_broker` in conftest.py starts one of a kind when a test first asks for it, and ends all with the run.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest

from ports import HOST, free_port

USER, PASSWORD = "carboy", "s3cret/word"
ENCODED = "s3cret%2Fword"
ROOT = Path(__file__).resolve().parents[1]
CERTIFICATE = ROOT / "tests" / "front" / "localhost.pem"
"""A certificate for `localhost` that it has signed itself, with its key."""


def stands_still(group: int) -> bool:
    """Tell whether no thread of a process group runs, as far as the system tells."""
    for status in Path("/proc").glob("[0-9]*/task/*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            state, _, of_group = status.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state not in "TtZX":
                return False
    return True


class Broker:
    """A broker; subclasses tell how it is run.

    Attributes:
        tools: the programs that it needs.
        hello: what is sent to a port to see that it is served; the broker answers or speaks first.
        start_time: seconds that it may take to start.
        has_password: whether its URL's password counts.
    """

    tools: ClassVar[tuple[str, ...]] = ()
    hello: ClassVar[bytes] = b""
    start_time: ClassVar[float] = 15
    has_password: ClassVar[bool] = True
    port_count: ClassVar[int] = 1

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = [free_port() for _ in range(self.port_count)]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port for clients."""
        return self.ports[0]

    @property
    def url(self) -> str:
        """The URL for clients, with user and password."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Do what must be done once, before the first start."""

    def command(self) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return what is added to the environment."""
        return {}

    def start(self) -> None:
        """Start the process, and wait until it serves."""
        with Path(self.folder, "output.log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=os.environ | self.environment(),
                start_new_session=True,
            )
        deadline = time.monotonic() + self.start_time
        while not self.serves():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"{self.command()[0]} did not start:\n{self.output()[-2000:]}")
            time.sleep(0.05)

    def output(self) -> str:
        """Return what the process has printed since its start."""
        return Path(self.folder, "output.log").read_text()

    def serves(self) -> bool:
        """Whether somebody answers on the port."""
        try:
            with socket.create_connection((HOST, self.port), timeout=1) as connection:
                connection.sendall(self.hello)
                return bool(connection.recv(1))
        except OSError:
            return False

    def signal(self, number: int) -> None:
        """Send a signal to the broker and all that it has started; after SIGSTOP they do stand still."""
        assert self.process is not None
        os.killpg(self.process.pid, number)
        while number == signal.SIGSTOP and not stands_still(self.process.pid):
            time.sleep(0.001)

    def stop(self) -> None:
        """End it at once, without a goodbye to its clients."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


class Redis(Broker):
    """A Redis server, also on a Unix socket."""

    tools = ("redis-server",)
    hello = b"PING\r\n"

    @property
    def url(self) -> str:
        """See `Broker.url`."""
        return f"redis://:{ENCODED}@{HOST}:{self.port}/0"

    @property
    def socket_file(self) -> Path:
        """Its Unix socket."""
        return self.folder / "redis.sock"

    def command(self) -> list[str]:
        """See `Broker.command`."""
        ports = ["--port", str(self.port), "--bind", HOST, "--unixsocket", str(self.socket_file)]
        return ["redis-server", *ports, "--save", "", "--requirepass", PASSWORD, *self.more_options()]

    def more_options(self) -> list[str]:
        """Return what other kinds of Redis add."""
        return []


class RabbitMQ(Broker):
    """A RabbitMQ node of its own, beside the one that the system may run."""

    tools = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "epmd")
    hello = b"AMQP\x00\x00\x09\x01"
    start_time = 55
    port_count = 4

    @property
    def url(self) -> str:
        """See `Broker.url`."""
        return f"amqp://{USER}:{ENCODED}@{HOST}:{self.port}//"

    @property
    def tls_url(self) -> str:
        """The URL for clients that speak TLS."""
        return f"amqps://{USER}:{ENCODED}@localhost:{self.ports[3]}//"

    def prepare(self) -> None:
        """See `Broker.prepare`."""
        lines = [
            f"listeners.tcp.1 = {HOST}:{self.port}",
            f"listeners.ssl.1 = {HOST}:{self.ports[3]}",
            f"ssl_options.certfile = {CERTIFICATE}",
            f"ssl_options.keyfile = {CERTIFICATE}",
            "ssl_options.verify = verify_none",
            f"default_user = {USER}",
            f"default_pass = {PASSWORD}",
            "log.file.level = error",
            "disk_free_limit.absolute = 1MB",
        ]
        Path(self.folder, "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        Path(self.folder, "plugins").write_text("[].\n")

    def command(self) -> list[str]:
        """See `Broker.command`."""
        return [self.tools[0]]

    def environment(self) -> dict[str, str]:
        """See `Broker.environment`."""
        folder = str(self.folder)
        return {
            "HOME": folder,
            "RABBITMQ_NODENAME": f"carboy{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_DIST_PORT": str(self.ports[1]),
            "ERL_EPMD_PORT": str(self.ports[2]),
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none +S 1",
        }

    def stop(self) -> None:
        """See `Broker.stop`."""
        super().stop()
        # The port mapper of this node alone, which it has left in a session of its own.
        subprocess.run(
            ["epmd", "-kill"], env=os.environ | self.environment(), capture_output=True, check=False
        )


class NATS(Broker):
    """A NATS server."""

    tools = ("nats-server",)

    @property
    def url(self) -> str:
        """See `Broker.url`."""
        return f"nats://{USER}:{ENCODED}@{HOST}:{self.port}"

    def prepare(self) -> None:
        """See `Broker.prepare`."""
        Path(self.folder, "nats.conf").write_text(
            f'listen: "{HOST}:{self.port}"\nmax_payload: 8MB\nmax_pending: 64MB\n'
            f'authorization {{ user: "{USER}", password: "{PASSWORD}" }}\n'
        )

    def command(self) -> list[str]:
        """See `Broker.command`."""
        return ["nats-server", "-c", "nats.conf"]


class NATSOverTLS(NATS):
    """A NATS server that speaks nothing but TLS."""

    @property
    def url(self) -> str:
        """See `Broker.url`."""
        return super().url.replace("nats:", "tls:").replace(HOST, "localhost")

    def prepare(self) -> None:
        """See `Broker.prepare`."""
        super().prepare()
        with Path(self.folder, "nats.conf").open("a") as configuration:
            configuration.write(f'tls {{ cert_file: "{CERTIFICATE}", key_file: "{CERTIFICATE}" }}\n')


class Kafka(Broker):
    """A Kafka broker, which is its own controller. Maven fetches it, as nothing else here brings one."""

    tools = ("java", "mvn")
    start_time = 40
    port_count = 3
    jars = ROOT / ".cache" / "kafka"

    @property
    def url(self) -> str:
        """See `Broker.url`."""
        return f"kafka://{USER}:{ENCODED}@{HOST}:{self.port}"

    def serves(self) -> bool:
        """See `Broker.serves`."""
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        return "Kafka Server started" in self.output()

    def java(self, *arguments: str) -> list[str]:
        """Return the command line of a Java program of Kafka's."""
        small = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        return ["java", *small, "-cp", f"{self.jars}/*", *arguments]

    def prepare(self) -> None:
        """See `Broker.prepare`."""
        if not self.jars.is_dir():
            self.fetch()
        login = "org.apache.kafka.common.security.plain.PlainLoginModule"
        names = ("CLIENTS", "CONTROLLER", "BROKERS")
        lines = {
            "node.id": 1,
            "process.roles": "broker,controller",
            "controller.quorum.voters": f"1@{HOST}:{self.ports[1]}",
            "listeners": ",".join(
                f"{name}://{HOST}:{port}" for name, port in zip(names, self.ports, strict=True)
            ),
            "inter.broker.listener.name": "BROKERS",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,BROKERS:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.clients.plain.sasl.jaas.config": f'{login} required user_{USER}="{PASSWORD}";',
            "log.dirs": self.folder / "data",
            "message.max.bytes": 8 << 20,
            "offsets.topic.replication.factor": 1,
            "broker.session.timeout.ms": 1000,  # after a kill it waits for itself to be gone
            "broker.heartbeat.interval.ms": 300,
        }
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        Path(self.folder, "server.properties").write_text(text)
        Path(self.folder, "log4j.properties").write_text(
            "log4j.rootLogger=INFO, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
        )
        command = self.java("kafka.tools.StorageTool", "format", "-t", "A" * 22, "-c", "server.properties")
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)

    def fetch(self) -> None:
        """Fetch Kafka into the folder of what was built."""
        part = self.jars.with_suffix(".part")
        command = ["mvn", "-q", "-B", "-f", str(ROOT / "tests" / "contracts" / "kafka.xml")]
        command += ["dependency:copy-dependencies", f"-DoutputDirectory={part}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            missing(f"Maven could not fetch Kafka: {done.stdout[-500:]}")
        part.rename(self.jars)

    def command(self) -> list[str]:
        """See `Broker.command`."""
        return self.java("-Dlog4j.configuration=file:log4j.properties", "kafka.Kafka", "server.properties")


class ZMQ(Broker):
    """The broker that python-socketio's documentation shows for ZeroMQ."""

    has_password = False
    port_count = 2

    @property
    def url(self) -> str:
        """See `Broker.url`."""
        return f"zmq+tcp://{HOST}:{self.port}+{self.ports[1]}"

    def command(self) -> list[str]:
        """See `Broker.command`."""
        code = (
            "import zmq\ncontext = zmq.Context()\n"
            f"sink = context.socket(zmq.PULL)\nsink.bind('tcp://{HOST}:{self.port}')\n"
            f"source = context.socket(zmq.PUB)\nsource.sndhwm = 0\nsource.bind('tcp://{HOST}:{self.ports[1]}')\n"
            "zmq.proxy(sink, source)\n"
        )
        return [sys.executable, "-c", code]

    def serves(self) -> bool:
        """See `Broker.serves`."""
        try:
            socket.create_connection((HOST, self.ports[1]), timeout=1).close()
        except OSError:
            return False
        return True


def missing(what: str) -> None:
    """Skip the test and say so loudly; where CI is set, a skip is a failure."""
    print(f"\n!!! {what}", file=sys.stderr)
    pytest.skip(what)


def require(kind: type[Broker]) -> None:
    """Skip the test unless a broker of that kind can run here."""
    absent = [tool for tool in kind.tools if shutil.which(tool) is None]
    if absent:
        missing(f"{' and '.join(absent)} not found: nothing was tried with {kind.__name__}")

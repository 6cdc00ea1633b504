"""`flask socketio ...`: what operators ask of a running cluster."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from time import monotonic, sleep
from urllib.parse import urlsplit

import click
from flask import current_app
from flask.cli import AppGroup, ScriptInfo, pass_script_info

from carboy.adapters.drivers import name_of
from carboy.runtime.cluster import Cluster
from carboy.runtime.server import Server

from .message_queue import MessageQueue

socketio_commands = AppGroup("socketio", help="Look into the Socket.IO server's cluster.")

CONNECT_TIME = 10.0
"""Seconds that the broker has to connect."""

TICK = 0.02

_DRIVERS_OWN = frozenset({"sentinel_kwargs", "ssl", "timeout"})
"""Options of a queue that are not those of a connection to Redis."""

READY = "listening"
"""What the second process writes when it is there."""


@socketio_commands.command("ping-bus")
@click.option(
    "--timeout", default=3.0, show_default=True, help="Seconds that other processes have to answer."
)
@click.option("--answer", is_flag=True, hidden=True, help="Be the second process, until the input ends.")
@pass_script_info
def ping_bus(script: ScriptInfo, timeout: float, answer: bool) -> None:
    """Prove that two processes hear each other over the message queue, and list who else is there."""
    queue, cluster, server = _cluster()
    _say("Queue", f"{name_of(queue.url)}, channel {queue.channel!r}")
    logger = server.log.logger
    logger.disabled = True  # what it would tell is told here
    try:
        _connect(cluster)
    finally:
        logger.disabled = False
    if answer:
        click.echo(READY)
        sys.stdin.read()
        return
    _say("Connected", "what this process publishes comes back to it")
    _prove_with_second_process(script, cluster, timeout)
    _list_others(queue, cluster, timeout)


def _cluster() -> tuple[MessageQueue, Cluster, Server]:
    socketio = current_app.extensions.get("socketio")
    runtime = None if socketio is None else socketio.runtime
    if runtime is None:
        raise click.ClickException(
            "this application has no SocketIO object: call SocketIO(app) or init_app(app)"
        )
    assert socketio is not None
    queue = socketio.server_options.get("client_manager")
    if runtime.cluster is None or not isinstance(queue, MessageQueue):
        raise click.ClickException(
            "this application names no message queue: SocketIO(app, message_queue='redis://...')"
        )
    return queue, runtime.cluster, runtime


def _connect(cluster: Cluster) -> None:
    cluster.start()
    if not cluster.bus.wait(CONNECT_TIME):
        reason = getattr(cluster.bus, "error", None) or f"no answer within {CONNECT_TIME:g} seconds"
        raise click.ClickException(f"no connection to the message queue: {reason}")


def _prove_with_second_process(script: ScriptInfo, cluster: Cluster, timeout: float) -> None:
    application = ["--app", script.app_import_path] if script.app_import_path else []
    command = [sys.executable, "-m", "flask", *application, "socketio", "ping-bus", "--answer"]
    with subprocess.Popen(  # noqa: S603  (this very program)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as second:
        assert second.stdout is not None
        ready = any(line.strip() == READY for line in second.stdout)
        taken = _time_to_hear(str(second.pid), cluster, timeout) if ready else None
        second.communicate()
    if taken is None:
        raise click.ClickException(
            "a second process with the same settings was not heard; may the user of the broker publish?"
        )
    _say("Two processes", f"hear each other: asked and answered in {1000 * taken:.0f} ms")


def _time_to_hear(process: str, cluster: Cluster, timeout: float) -> float | None:
    """Return how many seconds a process takes to answer; None if it does not."""
    deadline = monotonic() + timeout
    while (began := monotonic()) < deadline:
        if any(survey.process == process for survey in cluster.census.survey(deadline - began)):
            return monotonic() - began
        sleep(TICK)  # its greeting may still be on its way
    return None


def _list_others(queue: MessageQueue, cluster: Cluster, timeout: float) -> None:
    others = cluster.census.survey(timeout)
    for survey in others:
        _say("Heard", f"{survey.host}, process {survey.process}: {survey.clients} clients")
    if others:
        return
    _say("Nobody else", "answers on this channel (processes of Flask-SocketIO never do)")
    elsewhere = [name for name in listening_channels(queue) if name.split(".")[0] != queue.channel]
    if elsewhere:
        _say(
            "But", f"there are listeners on: {', '.join(sorted(elsewhere))}. Is channel= the same everywhere?"
        )
    else:
        _say("Perhaps", "they do not run, or have another host, port, virtual host or channel= than this one")


def listening_channels(queue: MessageQueue) -> list[str]:
    """Return the channels of the broker that have listeners; none where it does not tell.

    Args:
        queue: the message queue; only Redis and Valkey tell, on one server.
    """
    # The library knows fewer names than the driver.
    scheme = urlsplit(queue.url).scheme.replace("valkey", "redis").removeprefix("redis+")
    if scheme not in ("redis", "rediss", "unix"):
        return []
    import redis  # noqa: PLC0415  (an extra)

    url = f"{scheme}://{queue.url.partition('://')[2]}"
    options = {name: value for name, value in queue.options.items() if name not in _DRIVERS_OWN}
    with (
        suppress(redis.RedisError),
        redis.Redis.from_url(url, **options, decode_responses=True) as client,
    ):
        return [str(channel) for channel in client.pubsub_channels()]
    return []


def _say(what: str, text: str) -> None:
    click.echo(f"{click.style(f'{what:>13}', bold=True)}  {text}")

"""Background tasks."""

from __future__ import annotations

import asyncio
import threading
import time

import click
import pytest
from flask import has_app_context

from carboy.exceptions import BlockingCallError


def test_task_runs_in_a_daemon_thread(socketio):
    """With its arguments, and can be waited for."""
    seen = []
    task = socketio.start_background_task(lambda *args, **kwargs: seen.append((args, kwargs)), 1, a=2)
    task.join()
    assert seen == [((1,), {"a": 2})]
    assert task.daemon


def test_task_may_be_a_coroutine_function(socketio):
    """It has a loop of its own."""
    seen = []

    async def work(value):
        await asyncio.sleep(0)
        seen.append((value, threading.current_thread() is not threading.main_thread()))

    socketio.start_background_task(work, 1).join()
    assert seen == [(1, True)]


def test_task_has_no_context_of_flask(client, socketio):
    """Even if it was started in a handler."""
    seen = []
    socketio.on("start")(
        lambda: socketio.start_background_task(lambda: seen.append(has_app_context())).join()
    )
    client.emit("start")
    assert seen == [False]


def test_sleep_waits(socketio):
    """In seconds."""
    began = time.monotonic()
    socketio.sleep(0.02)
    assert time.monotonic() - began >= 0.02


def test_sleep_does_not_block_the_servers_loop(socketio):
    """It says what to write in a coroutine instead."""

    async def on_the_loop():
        socketio.runtime.hub.attach(asyncio.get_running_loop())
        with pytest.raises(BlockingCallError, match=r"await asyncio\.sleep"):
            socketio.sleep(1)

    asyncio.run(on_the_loop())


@pytest.mark.parametrize(
    ("parameters", "environment", "runs"),
    [
        ({"reload": True}, {}, False),
        ({"reload": None}, {"FLASK_DEBUG": "1"}, False),
        ({"reload": None}, {}, True),
        ({"reload": False}, {"FLASK_DEBUG": "1"}, True),
        ({"reload": True}, {"WERKZEUG_RUN_MAIN": "true"}, True),
    ],
)
def test_task_does_not_run_in_the_process_that_only_watches(
    socketio, monkeypatch, parameters, environment, runs
):
    """Under `flask run` with its reloader the application is imported twice, and served once."""
    for name in ("FLASK_DEBUG", "WERKZEUG_RUN_MAIN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    seen = []
    with click.Context(click.Command("run"), info_name="run") as context:
        context.params = parameters
        socketio.start_background_task(seen.append, 1).join()
    assert seen == [1] * runs

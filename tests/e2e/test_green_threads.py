"""Applications and servers of green threads: each works, or is refused at its start with the cure."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import javascript
import pytest
import servers
from test_front_ends import PROGRAMS, TROUBLE, environment, installed

START_SECONDS = 45.0
AT_ONCE = 4
GEVENT = r"gevent has replaced Python's threads.* Take gevent\.monkey\.patch_all\(\) out"
EVENTLET = r"eventlet has replaced Python's threads.* Take eventlet\.monkey_patch\(\) out"
NO_EVENTLET_WORKER = "class uri 'eventlet' invalid or not found"
"""What gunicorn itself says since it has none any more."""

LOAD, RUN = "from app import app, socketio; ", "socketio.run(app, port={port})"


@dataclass(frozen=True)
class Case:
    """One way to start the application.

    Attributes:
        name: what it is called.
        needs: the package that it is about.
        arguments: what our interpreter is called with.
        says: what the log says, a regular expression.
        mode: the transport that works; none where it is refused.
        options: those of `SocketIO`.
    """

    name: str
    needs: str
    arguments: tuple[str, ...]
    says: str = ""
    mode: str = ""
    options: str = "{}"


PATCH_ALL = "import gevent.monkey; gevent.monkey.patch_all("
GUNICORN = ("-m", "gunicorn", "-b", "127.0.0.1:{port}")

REFUSED = [
    Case("gevent's patches", "gevent", ("-c", f"{PATCH_ALL}); {LOAD}{RUN}"), GEVENT),
    Case("gevent's late patches", "gevent", ("-c", f"{LOAD}{PATCH_ALL}); {RUN}"), GEVENT),
    Case("gevent's other patches", "gevent", ("-c", f"{PATCH_ALL}thread=False); {LOAD}{RUN}"), GEVENT),
    Case(
        "eventlet's patches",
        "eventlet",
        ("-c", f"import eventlet; eventlet.monkey_patch(); {LOAD}{RUN}"),
        EVENTLET,
    ),
    Case("gunicorn -k gevent", "gevent", (*GUNICORN, "-k", "gevent", "app:app"), GEVENT),
    Case(
        "gunicorn -k eventlet",
        "eventlet",
        (*GUNICORN, "-k", "eventlet", "app:app"),
        f"{EVENTLET}|{NO_EVENTLET_WORKER}",
    ),
    Case(
        "uwsgi without threads",
        "pyuwsgi",
        (*PROGRAMS["uwsgi"], "--http-socket", "127.0.0.1:{port}", "--need-app", "-w", "app:app"),
        "uWSGI runs no threads as it was started.* start it with --enable-threads",
    ),
]
SERVED = [
    Case(
        "async_mode gevent",
        "gevent",
        ("-c", f"import gevent.monkey; {LOAD}{RUN}"),
        "async_mode='gevent': no green threads are needed",
        "websocket",
        '{"async_mode": "gevent"}',
    ),
    Case(
        "async_mode eventlet",
        "eventlet",
        (*GUNICORN, "-k", "gthread", "--threads", "4", "app:app"),
        "async_mode='eventlet': no green threads are needed",
        "websocket",
        '{"async_mode": "eventlet"}',
    ),
    Case(
        "gevent.pywsgi",
        "gevent",
        (
            "-c",
            f"{LOAD}import gevent.pywsgi as w; w.WSGIServer(('127.0.0.1', {{port}}), app).serve_forever()",
        ),
        "POST /socket.io/",
        "polling",
    ),
    Case(
        "eventlet.wsgi",
        "eventlet",
        ("-c", f"{LOAD}import eventlet.wsgi as w; w.server(w.eventlet.listen(('127.0.0.1', {{port}})), app)"),
        "POST /socket.io/",
        "polling",
    ),
]


@dataclass
class Outcome:
    """What became of a case.

    Attributes:
        log: what the process printed.
        status: its exit status, where it has ended by itself.
        report: the report of the JavaScript client, where it served.
    """

    log: str
    status: int = 0
    report: javascript.Report | None = None


def serve(case: Case) -> Outcome:
    """Run the contract against a case that serves."""
    variables = {**environment(), "OPTIONS": case.options}
    with servers.serve("", *case.arguments, environment=variables) as server:
        report = javascript.run("contract", server.url, case.mode)
    return Outcome(server.log(), report=report)


def refuse(case: Case) -> Outcome:
    """Wait until a case that is refused has ended."""
    command = [servers.server_python(), *(part.replace("{port}", "0") for part in case.arguments)]
    ended = subprocess.run(
        command,
        env=servers.server_environment(environment()),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_SECONDS,
    )
    return Outcome(ended.stdout, ended.returncode)


@pytest.fixture(scope="module")
def outcomes() -> Iterator[dict[str, Future[Outcome]]]:
    """What became of each case whose package is there; some are tried at a time."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield {
            case.name: threads.submit(serve if case.mode else refuse, case)
            for case in SERVED + REFUSED
            if installed(case.needs)
        }


def outcome_of(outcomes: dict[str, Future[Outcome]], case: Case) -> Outcome:
    """Wait for the outcome of a case."""
    if case.name not in outcomes:
        javascript.missing(f"{case.needs} is not installed")
    return outcomes[case.name].result()


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_case_is_refused_with_what_to_do_instead(outcomes: dict[str, Future[Outcome]], case: Case) -> None:
    """The process ends by itself, with one error, which names the cure."""
    outcome = outcome_of(outcomes, case)
    assert outcome.status != 0
    assert outcome.log.count("raise ConfigurationError") <= 1, outcome.log
    assert re.search(case.says, outcome.log), outcome.log


@pytest.mark.parametrize("case", SERVED, ids=lambda case: case.name)
def test_case_is_served(outcomes: dict[str, Future[Outcome]], case: Case) -> None:
    """The stock client finds the whole contract kept, and the log shows no trouble."""
    outcome = outcome_of(outcomes, case)
    assert outcome.report is not None
    for mode, check in javascript.checks("contract"):
        if mode == case.mode:
            outcome.report.verify(check)
    assert re.search(case.says, outcome.log), outcome.log
    assert TROUBLE.search(outcome.log) is None, outcome.log

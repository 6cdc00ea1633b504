"""One contract, behind every server that an application is deployed on, as `docs/deployment.md` says."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import javascript
import pytest
import servers
import unix_door

DOCUMENT = javascript.ROOT / "docs" / "deployment.md"
ALL = javascript.MODES
WEBSOCKET = ("websocket",)
POLLING = ("polling",)
TROUBLE = re.compile(r"Traceback|^.*\b(?:ERROR|CRITICAL)\b.*$|^.*Exception.*$", re.MULTILINE)
TRUSTING = {"NODE_TLS_REJECT_UNAUTHORIZED": "0"}
PROGRAMS = {"waitress-serve": ("-m", "waitress"), "uwsgi": ("-c", "import pyuwsgi; pyuwsgi.run()")}
AT_ONCE = 3
EXAMPLES = {
    "8000": "{port}",
    "/run/app/app.sock": "{socket}",
    " cert.pem": " {certificate}",
    " key.pem": " {key}",
}
"""What the document has in the place of names."""


@dataclass(frozen=True)
class FrontEnd:
    """One server.

    Attributes:
        command: the command line, as the document has it; `{port}` stands for the port, `{socket}` for a
            Unix socket, `{certificate}` and `{key}` for their files.
        modes: what works behind it.
        needs: the package it comes in.
    """

    command: str
    modes: tuple[str, ...]
    needs: str

    def arguments(self, folder: Path) -> list[str]:
        """Return what our interpreter is called with, with files in a folder."""
        files = {"{socket}": folder / "s", "{certificate}": folder / "c.pem", "{key}": folder / "k.pem"}
        program, *rest = self.command.split()
        for name, file in files.items():
            rest = [part.replace(name, str(file)) for part in rest]
        return [*PROGRAMS.get(program, ("-m", program)), *rest]


FRONT_ENDS = [
    FrontEnd("flask --app app run --port {port}", ALL, "flask"),
    FrontEnd("flask --app app run --port {port} --debug", ALL, "flask"),
    FrontEnd("flask --app app run --host unix://{socket}", ALL, "flask"),
    FrontEnd("gunicorn -k gthread --threads 4 -b 127.0.0.1:{port} app:app", ALL, "gunicorn"),
    FrontEnd("gunicorn -k gthread --threads 4 -b 127.0.0.1:{port} --preload app:app", WEBSOCKET, "gunicorn"),
    FrontEnd("gunicorn -k gthread --threads 4 -b unix:{socket} app:app", ALL, "gunicorn"),
    FrontEnd("gunicorn -w 4 -k gthread --threads 4 -b 127.0.0.1:{port} app:app", ALL, "gunicorn"),
    FrontEnd("gunicorn -b 127.0.0.1:{port} app:app", ALL, "gunicorn"),
    FrontEnd(
        "gunicorn -k gthread --threads 32 -b 127.0.0.1:{port} --certfile {certificate} --keyfile {key} app:app",  # noqa: E501
        ALL,
        "gunicorn",
    ),
    FrontEnd("flask --app app run --port {port} --cert {certificate} --key {key}", ALL, "flask"),
    FrontEnd("waitress-serve --listen=127.0.0.1:{port} app:app", POLLING, "waitress"),
    FrontEnd(
        "uwsgi --master --processes 2 --threads 4 --die-on-term --worker-reload-mercy 5"
        " --http-socket 127.0.0.1:{port} -w app:app",
        POLLING,
        "pyuwsgi",
    ),
    FrontEnd("uvicorn --port {port} app:asgi_app", ALL, "uvicorn"),
    FrontEnd("uvicorn --workers 4 --port {port} app:asgi_app", ALL, "uvicorn"),
    FrontEnd("hypercorn -b 127.0.0.1:{port} app:asgi_app", ALL, "hypercorn"),
    FrontEnd("granian --interface asgi --port {port} app:asgi_app", ALL, "granian"),
    FrontEnd("daphne -p {port} app:asgi_app", ALL, "daphne"),
    FrontEnd("gunicorn -k asgi -b 127.0.0.1:{port} app:asgi_app", ALL, "gunicorn.workers.gasgi"),
    FrontEnd(
        "gunicorn -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port} app:asgi_app", ALL, "uvicorn_worker"
    ),
]
NAMES = [front_end.command.replace(" ", "_").replace("/", "|") for front_end in FRONT_ENDS]
CONTRACT = javascript.checks("contract")
CHECKS = [
    pytest.param(front_end, mode, check, id=f"{name}-{mode}-{check.replace(' ', '-')}")
    for front_end, name in zip(FRONT_ENDS, NAMES, strict=True)
    for mode in front_end.modes
    for its_mode, check in CONTRACT
    if its_mode == mode
]


@dataclass
class Outcome:
    """What became of the contract behind one server.

    Attributes:
        reports: the reports of the JavaScript client, by mode.
        log: what the server printed.
    """

    reports: dict[str, javascript.Report] = field(default_factory=dict)
    log: str = ""


def environment() -> dict[str, str]:
    """Return the variables of a server that finds the application."""
    path = servers.server_environment().get("PYTHONPATH", "")
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, [path, str(servers.APPLICATIONS)])),
        "PYTHONWARNINGS": "default",
    }


def installed(package: str) -> bool:
    """Tell whether a package is there."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # the package that it would be in is missing
        return False


def make_certificate(folder: Path) -> None:
    """Make a certificate for localhost."""
    files = ["-keyout", str(folder / "k.pem"), "-out", str(folder / "c.pem")]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *files, *subject]
    subprocess.run(command, check=True, capture_output=True)


def try_out(front_end: FrontEnd) -> Outcome:
    """Run the contract behind one server, in all its modes."""
    outcome = Outcome()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        unix_socket = folder / "s" if "{socket}" in front_end.command else None
        if "{key}" in front_end.command:
            make_certificate(folder)
        arguments = front_end.arguments(folder)
        server = stack.enter_context(
            servers.serve("", *arguments, environment=environment(), unix_socket=unix_socket)
        )
        url = server.url
        if unix_socket is not None:
            url = f"http://127.0.0.1:{stack.enter_context(unix_door.leads_to(unix_socket))}"
        elif "{key}" in front_end.command:
            url = f"https://localhost:{server.port}"
        outcome.reports = {mode: javascript.run("contract", url, mode, TRUSTING) for mode in front_end.modes}
    outcome.log = server.log()
    return outcome


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Outcome]]]:
    """What became of the contract, for each server that a test asks for; some are tried out at a time."""
    javascript.require_node()
    wanted = {
        item.callspec.params["front_end"].command: item.callspec.params["front_end"]
        for item in request.session.items
        if item.path == Path(__file__)
        and "front_end" in getattr(item, "callspec", item).__dict__.get("params", {})
    }
    with ThreadPoolExecutor(AT_ONCE) as threads:
        yield {
            command: threads.submit(try_out, front_end)
            for command, front_end in wanted.items()
            if installed(front_end.needs)
        }


def outcome_of(outcomes: dict[str, Future[Outcome]], front_end: FrontEnd) -> Outcome:
    """Wait for the outcome of one server."""
    if front_end.command not in outcomes:
        javascript.missing(f"{front_end.needs} is not installed")
    return outcomes[front_end.command].result()


@pytest.mark.parametrize(("front_end", "mode", "check"), CHECKS)
def test_contract_holds(
    outcomes: dict[str, Future[Outcome]], front_end: FrontEnd, mode: str, check: str
) -> None:
    """What the name of the check says holds for the stock client, behind that server, on that transport."""
    outcome = outcome_of(outcomes, front_end)
    outcome.reports[mode].verify(check, outcome.log)


@pytest.mark.parametrize("front_end", [each for each in FRONT_ENDS if "{key}" in each.command])
def test_log_tells_once_what_tls_costs(outcomes: dict[str, Future[Outcome]], front_end: FrontEnd) -> None:
    """Where websockets hold threads, one line says so."""
    assert outcome_of(outcomes, front_end).log.count("A websocket over TLS holds a thread") == 1


@pytest.mark.parametrize("front_end", FRONT_ENDS, ids=NAMES)
def test_log_shows_no_trouble(outcomes: dict[str, Future[Outcome]], front_end: FrontEnd) -> None:
    """No upgrade, no client that leaves and no end of the server shows as an error or a traceback."""
    found = TROUBLE.search(outcome_of(outcomes, front_end).log)
    assert found is None, outcome_of(outcomes, front_end).log


def documented_commands() -> list[str]:
    """Return the commands of the document that begin with a server of the table."""
    programs = {front_end.command.split()[0] for front_end in FRONT_ENDS}
    lines = re.findall(r"^\$ (.+)$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return [line for line in lines if line.split()[0] in programs]


@pytest.mark.parametrize("command", documented_commands())
def test_documented_command_is_one_that_is_tried_out(command: str) -> None:
    """Every command of the document stands in the table above, with an example for each name."""
    general = command
    for example, name in EXAMPLES.items():
        general = general.replace(example, name)
    assert general in {front_end.command for front_end in FRONT_ENDS}

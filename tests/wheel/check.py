"""Talks to the application of the README over HTTP polling; it uses nothing but the standard library.

    python check.py PYTHON

PYTHON is the interpreter that runs the application. Carboy must be installed there from its wheel, not from
the sources, so that what is checked is the package as it was built.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

FOLDER = Path(__file__).resolve().parent
START = "import sys, ten_lines; ten_lines.socketio.run(ten_lines.app, port=int(sys.argv[1]))"
START_SECONDS = 20.0
ANSWER_SECONDS = 10.0
STOP_SECONDS = 10.0


def main() -> None:
    """Run the application, and fail unless it greets, answers an event and stops when told."""
    python = str(Path(sys.argv[1]).absolute())
    with tempfile.TemporaryFile("w+") as log:
        try:
            with running_application(python, log) as url:
                check_conversation(url)
        except BaseException:
            log.seek(0)
            print(f"The application logged:\n{log.read()}", file=sys.stderr)
            raise
    print("wheel: the application of the README greets, answers and stops")


@contextlib.contextmanager
def running_application(python: str, log: IO[str]) -> Iterator[str]:
    """Run the application in its own process, yield its base address, and see it stop."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [python, "-c", START, str(port)]
    process = subprocess.Popen(command, cwd=FOLDER, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for_listener(process, port)
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        status = process.wait(STOP_SECONDS)
        if status not in {0, -signal.SIGTERM}:
            raise SystemExit(f"the application ended with status {status}")
    finally:
        process.kill()
        process.wait()


def wait_for_listener(process: subprocess.Popen[bytes], port: int) -> None:
    """Return once somebody listens on the port."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"nobody listens on port {port} (status of the application: {process.poll()})")


def check_conversation(url: str) -> None:
    """Connect like a client, send a message, and expect the answer; then ask Flask for a page."""
    address = f"{url}/socket.io/?EIO=4&transport=polling"
    opened = request(address)
    expect(opened[:1], "0", "the first packet opens the session")
    address += "&sid=" + json.loads(opened[1:])["sid"]
    request(address, "40")
    expect(next_packet(address)[:2], "40", "the server answers with a CONNECT packet")
    request(address, '42["message","hello"]')
    expect(next_packet(address), '42["message","You said: hello"]', "the handler answers")
    request(address, "41")
    expect(request(f"{url}/no-such-page", status=404)[:9], "<!doctype", "Flask answers everything else")


def next_packet(address: str) -> str:
    """Poll until something other than a ping comes."""
    while (packet := request(address)) == "2":
        request(address, "3")
    return packet


def request(address: str, body: str | None = None, status: int = 200) -> str:
    """Return the body of the answer to a GET, or to a POST when there is a body."""
    data = None if body is None else body.encode()
    question = urllib.request.Request(address, data, {"Content-Type": "text/plain;charset=UTF-8"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(question, timeout=ANSWER_SECONDS) as answer:
            text, found = answer.read().decode(), answer.status
    except urllib.error.HTTPError as error:
        with error:
            text, found = error.read().decode(), error.code
    expect(found, status, f"the status of the answer {text!r}")
    return text


def expect(found: object, expected: object, what: str) -> None:
    """End with a message unless the two are equal."""
    if found != expected:
        raise SystemExit(f"{what}: expected {expected!r}, found {found!r}")


if __name__ == "__main__":
    main()

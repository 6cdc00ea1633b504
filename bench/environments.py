"""Sets up what is measured: an environment for each server and the load generator, all below `.cache/bench`.

Nothing is installed anywhere else, and what is there already is used again. Each server gets the latest
versions that the registries offer on the day of its set-up; the results name them.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = ROOT / ".cache" / "bench"
LOGS = CACHE / "logs"


class MissingToolError(Exception):
    """Something that cannot be installed from here is not on this machine; the text says what to do."""


@dataclass(frozen=True)
class Server:
    """A server that can be measured: its names, its command with a `{port}`, and versions of its parts."""

    name: str
    title: str
    command: str
    versions: dict[str, str] = field(default_factory=dict)


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """Run a command to its end; return what it printed, or raise with the last lines of its complaint."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        complaint = (result.stderr or result.stdout).strip().splitlines()[-3:]
        raise MissingToolError(f"`{shlex.join(map(str, command))}` failed: {' / '.join(complaint)}")
    return result.stdout


def load_generator() -> Path:
    """Compile `load.c` unless that was done since its last change, and return the program.

    Raises:
        MissingToolError: There is no C compiler, or the system is not Linux.
    """
    if sys.platform != "linux":
        raise MissingToolError(
            "the load generator uses epoll and /proc: it needs Linux (a container will do)"
        )
    source = HERE / "load.c"
    program = CACHE / f"load-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
    if not program.exists():
        compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
        if compiler is None:
            raise MissingToolError("no C compiler. On Debian and Ubuntu: apt-get install gcc libc6-dev")
        CACHE.mkdir(parents=True, exist_ok=True)
        run(compiler, "-O2", "-o", program, source)
    return program


def virtual_environment(name: str, python: str, *requirements: str, inputs: str = "") -> Path:
    """Make an environment with these packages unless it is there; return its folder of programs."""
    folder = CACHE / name
    recipe = "\n".join((python, *requirements, inputs))
    stamp = folder / "recipe.txt"
    if not stamp.exists() or stamp.read_text() != recipe:
        run(python, "-m", "venv", "--clear", folder)
        run(
            folder / "bin/python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *requirements,
        )
        stamp.write_text(recipe)
    return folder / "bin"


def python_versions(programs: Path, *packages: str) -> dict[str, str]:
    """Ask an environment for its interpreter's version and those of packages."""
    code = (
        "import importlib.metadata, json, platform, sys;"
        "print(json.dumps({'Python': platform.python_version(),"
        "**{name: importlib.metadata.version(name) for name in sys.argv[1:]}}))"
    )
    return json.loads(run(programs / "python", "-c", code, *packages))


def carboy(python: str) -> Server:
    """This tree, served by itself."""
    sources = ("pyproject.toml", "src/carboy/__init__.py")  # what it depends on, and its version
    project = "".join((ROOT / source).read_text(encoding="utf-8") for source in sources)
    programs = virtual_environment("carboy", python, "--editable", str(ROOT), inputs=project)
    command = f"{programs}/python {HERE}/server.py {{port}}"
    return Server(
        "carboy", "Carboy", command, python_versions(programs, "carboy", "Flask", "uvicorn", "picows")
    )


def flask_socketio(python: str) -> Server:
    """Flask-SocketIO with threads: the same application, under Gunicorn as its documentation says."""
    packages = ("Flask-SocketIO", "gunicorn", "simple-websocket")
    programs = virtual_environment("flask-socketio", python, *packages)
    # Each client holds a thread, and while it connects a second one for a moment.
    command = (
        f"{programs}/gunicorn --worker-class gthread --workers 1 --threads 1200 --worker-connections 2400 "
        f"--bind 127.0.0.1:{{port}} --chdir {HERE} --no-control-socket --log-level error server:app"
    )
    return Server(
        "flask-socketio",
        "Flask-SocketIO",
        command,
        python_versions(programs, *packages, "python-socketio", "Flask"),
    )


def python_socketio(python: str) -> Server:
    """The server below Flask-SocketIO, by itself and with `async def` handlers: ASGI under Uvicorn."""
    packages = ("python-socketio", "uvicorn", "uvloop", "httptools", "websockets")
    programs = virtual_environment("python-socketio", python, *packages)
    command = f"{programs}/uvicorn --port {{port}} --log-level error --app-dir {HERE}/peers asgi_server:app"
    return Server("python-socketio", "python-socketio", command, python_versions(programs, *packages))


def node(_python: str) -> Server:
    """The reference implementation."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise MissingToolError("no node and npm. On Debian and Ubuntu: apt-get install nodejs npm")
    folder = CACHE / "node"
    manifest = folder / "node_modules/socket.io/package.json"
    if not manifest.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        run("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "socket.io", folder=folder)
    # Node looks for packages beside the script, so the script goes to the packages.
    script = shutil.copy(HERE / "peers/node_server.mjs", folder)
    versions = {
        "Node.js": run("node", "--version").strip().removeprefix("v"),
        "socket.io": json.loads(manifest.read_text(encoding="utf-8"))["version"],
    }
    return Server("node", "Node.js", f"env NODE_ENV=production node {script} {{port}}", versions)


# In the order of tables and of the chart.
SERVERS: dict[str, Callable[[str], Server]] = {
    "flask-socketio": flask_socketio,
    "python-socketio": python_socketio,
    "node": node,
    "carboy": carboy,
}

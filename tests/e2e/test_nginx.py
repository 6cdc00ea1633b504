"""nginx in front, with the configuration of `docs/deployment.md`."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import javascript
import servers
from test_front_ends import DOCUMENT, TROUBLE, environment

from ports import free_port

FRAME = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {blocks}
}}
"""


def configure(folder: Path, port: int) -> Path:
    """Write the configuration of the document for a folder and a port."""
    found = re.search(r"^```nginx\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    blocks = found[1].replace("/run/app/app.sock", f"{folder}/s").replace("8080", f"127.0.0.1:{port}")
    path = folder / "nginx.conf"
    path.write_text(FRAME.format(folder=folder, blocks=blocks))
    return path


def test_contract_holds_behind_nginx(tmp_path: Path) -> None:
    """Websockets, polls and views pass through nginx to gunicorn on a Unix socket, with ProxyFix."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        javascript.missing("nginx is not installed")
    tmp_path.chmod(0o755)
    port = free_port()
    command = f"-m gunicorn -k gthread --threads 4 --umask 0 -b unix:{tmp_path}/s app:app"
    variables = {**environment(), "BEHIND_PROXY": "1"}
    with servers.serve("", *command.split(), environment=variables, unix_socket=tmp_path / "s") as server:
        front = subprocess.Popen([str(nginx), "-c", str(configure(tmp_path, port)), "-g", "user root;"])
        try:
            servers.wait_until(lambda: servers.is_served(port), "nginx listens")
            for mode in javascript.MODES:
                report = javascript.run("contract", f"http://127.0.0.1:{port}", mode)
                for its_mode, check in javascript.checks("contract"):
                    if its_mode == mode:
                        report.verify(check)
        finally:
            front.terminate()
            front.wait(10)
    assert TROUBLE.search(server.log()) is None, server.log()

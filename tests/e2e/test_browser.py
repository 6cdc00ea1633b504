"""The chat example in a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import javascript
import pytest
import servers

CHAT = javascript.ROOT / "examples" / "chat" / "app.py"
SCRIPT = Path(__file__).parent / "chat.mjs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def installed_browser() -> str | None:
    """Return the path of a Chromium, from `CHROMIUM` or the search path."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.mark.timeout(120)
def test_browser_chats(tmp_path: Path) -> None:
    """Two pages of the chat example see each other's messages in a real browser."""
    node = javascript.require_node()
    browser = installed_browser()
    if browser is None:
        javascript.missing("chromium is not installed, the chat example was not tried in a browser")
    with servers.serve(CHAT) as server:
        ended = subprocess.run(
            [node, str(SCRIPT), server.url, str(tmp_path)],
            env={**os.environ, "CHROMIUM": str(browser)},
            check=False,
            capture_output=True,
            text=True,
            timeout=110,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr

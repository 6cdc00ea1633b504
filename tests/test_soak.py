"""The soak works: a short one finds nothing and leaves its chart, and what it looks for is found."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "soak"))

import peers  # found by the line above under every import mode
import soak

SOAK = Path(peers.__file__).parent
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the soak reads /proc, which Linux alone has")


@LINUX
def test_short_soak_finds_nothing() -> None:
    """All kinds of clients live on one server, and its chart is a picture."""
    command = [sys.executable, str(SOAK / "soak.py"), "--seconds", "1", "--clients", "20"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "nothing leaked, nothing was lost, nothing was doubled" in ended.stdout
    picture = ET.parse(SOAK / "results" / "soak.svg").getroot()
    assert len(picture.findall("{*}polyline")) == 3


@pytest.mark.parametrize(("number", "faults"), [(8, 0), (7, 1), (9, 1), (6, 1)])
def test_peer_notices_what_is_lost_or_doubled(number: int, faults: int) -> None:
    """After 7 only 8 is right: a number that comes again, or too late or too early, is a fault."""
    peer = peers.Peer(0)
    peer._event(["tick", 7, "."])
    peer._event(["tick", number, "."])
    assert len(peer.faults) == faults


def test_what_is_still_held_is_found() -> None:
    """Clients, files, threads, objects and memory that did not come back are each told."""
    before = {"clients": 0, "files": 10, "threads": 5, "objects": {"carboy.runtime.client.Client": 1}}
    after = {"clients": 1, "files": 11, "threads": 6, "objects": {"carboy.runtime.client.Client": 9}}
    flat = [{"kilobytes": 50_000}] * 20
    grown = [{"kilobytes": 50_000 + 2_000 * number} for number in range(20)]
    assert soak.judge(before, before, flat, True) == []
    assert len(soak.judge(before, after, grown, True)) == 5

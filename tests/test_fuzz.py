"""The fuzz targets work without a fuzzer: they hold for their seeds and what was found, and tell a defect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fuzz"))

import codecs_targets  # found by the line above under every import mode
import fuzzer

SEEDS = [(name, seed) for name in fuzzer.TARGETS for seed in fuzzer.load(name)[1]]

FOUND: list[tuple[str, bytes]] = [
    # picows tells of a broken head before it hands the frame in front of it over.
    ("websocket", b"\x81\x85\0\0\0\x004text\xff\xff\xff\xff\xff\xff\xff"),
    ("websocket", b"\x81\x85\0\0\0\x004\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfftext"),
    ("websocket", b"\x88\x80\0\0\0\0\x03\xe8"),
]
"""Inputs on which fuzzing stopped once: defects, or targets that asked for more than holds."""


@pytest.mark.parametrize(("name", "data"), [*SEEDS, *FOUND, *((name, b"") for name in fuzzer.TARGETS)])
def test_target_holds_for(name: str, data: bytes) -> None:
    """What a target asserts is true of its seeds, of nothing at all, and of all that was found."""
    target, _ = fuzzer.load(name)
    target(data)


@pytest.mark.parametrize("error", [ValueError, RecursionError, KeyError])
def test_target_fails_on_an_error_that_is_not_the_peers(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is no RemoteError leaves the target, and is a finding."""

    def broken(message: bytes, offset: int = 0) -> None:
        raise error

    monkeypatch.setattr(codecs_targets.JSON, "decode_text", broken)
    with pytest.raises(error):
        codecs_targets.json_packet(b'2["x"]')


def test_fuzzer_says_loudly_that_it_is_missing() -> None:
    """Without atheris nothing fails, and nobody believes that something was fuzzed."""
    ended = subprocess.run(
        [sys.executable, "-S", "-I", fuzzer.__file__, "--seconds", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "NOT FUZZED" in ended.stderr


def test_unknown_target_is_named() -> None:
    """A misspelled target is not taken for one that found nothing."""
    ended = subprocess.run(
        [sys.executable, fuzzer.__file__, "jason"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "there is no target jason" in ended.stderr

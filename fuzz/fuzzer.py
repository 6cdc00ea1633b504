"""Fuzzes the decoders, one target after another, guided by what their code has not done yet (atheris).

    python fuzz/fuzzer.py --seconds 60 [TARGET...]

A finding is written to `.cache/fuzz/TARGET/`, and the command that repeats it is shown. Inputs that reach new
code are kept there too, and are where the next run begins. Where atheris is not installed nothing is fuzzed,
and a line says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "fuzz"
MAX_LENGTH = 4096
TOO_SLOW = 10
"""Seconds for one input, which takes microseconds; so many are a finding on any machine."""
MEGABYTES = 2048

Target = Callable[[bytes], None]

# Where each target is: its module, its function, and its seeds.
TARGETS = {
    "payload": ("codecs_targets", "payload", "PAYLOAD_SEEDS"),
    "json": ("codecs_targets", "json_packet", "JSON_SEEDS"),
    "msgpack": ("codecs_targets", "message_pack", "MESSAGE_PACK_SEEDS"),
    "query": ("http_targets", "query", "QUERY_SEEDS"),
    "handshake": ("http_targets", "handshake", "HANDSHAKE_SEEDS"),
    "headers": ("http_targets", "headers", "HEADER_SEEDS"),
    "head": ("http_targets", "head", "HEAD_SEEDS"),
    "websocket": ("websocket_target", "websocket", "SEEDS"),
}


def load(name: str) -> tuple[Target, list[bytes]]:
    """Import a target: its function and its seeds."""
    module_name, function, seeds = TARGETS[name]
    module = importlib.import_module(module_name)
    return getattr(module, function), getattr(module, seeds)


def fuzz(name: str, arguments: list[str]) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris  # noqa: PLC0415  # there is not a wheel for every machine, and the targets need none

    with atheris.instrument_imports(include=["carboy"]):
        target, seeds = load(name)
    folder = CACHE / name / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (folder / f"seed-{number}").write_bytes(seed)
    atheris.Setup(["fuzz", str(folder), *arguments], target)
    atheris.Fuzz()


def run(name: str, seconds: int) -> bool:
    """Fuzz one target in a process of its own, and tell whether nothing was found."""
    prefix = CACHE / name / "finding-"
    command = [
        sys.executable,
        __file__,
        "--here",
        name,
        f"-max_total_time={seconds}",
        f"-max_len={MAX_LENGTH}",
    ]
    command += [
        f"-timeout={TOO_SLOW}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-artifact_prefix={prefix}",
        "-print_final_stats=1",
    ]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    counted = re.search(r"stat::number_of_executed_units:\s*(\d+)", ended.stderr)
    count = f"{int(counted[1]):,} executions" if counted else "an unknown number of executions"
    if ended.returncode == 0:
        print(f"{name}: {count} in {seconds} s, no finding", flush=True)
        return True
    print(f"{name}: A FINDING\n{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}", flush=True)
    for path in sorted(prefix.parent.glob("finding-*")):
        print(f"  repeat it: {sys.executable} fuzz/fuzzer.py --here {name} {path}", flush=True)
    return False


def main() -> int:
    """Read the command line, and fuzz what it names."""
    if sys.argv[1:2] == ["--here"]:
        fuzz(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all if none")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    options = parser.parse_args()
    unknown = sorted(set(options.targets) - set(TARGETS))
    if unknown:
        parser.error(f"there is no target {', '.join(unknown)}: choose from {', '.join(TARGETS)}")
    if importlib.util.find_spec("atheris") is None:
        print(
            "!!! NOT FUZZED: atheris is not installed. It has wheels for Linux on x86-64 only.",
            file=sys.stderr,
        )
        return 0
    outcomes = [run(name, options.seconds) for name in options.targets or TARGETS]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())

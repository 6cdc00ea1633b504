"""Green threads are told from real ones."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from carboy.exceptions import ConfigurationError
from carboy.front.green_threads import is_in_green_thread, refuse_green_threads


def pretend(monkeypatch: pytest.MonkeyPatch, name: str, **functions: object) -> None:
    """Have a module be imported that says it has patched, or not."""
    module = ModuleType(name)
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, name, module)


GEVENT = ("gevent.monkey", "is_module_patched", r"Take gevent\.monkey\.patch_all\(\) out.*-k gthread")
EVENTLET = ("eventlet.patcher", "is_monkey_patched", r"Take eventlet\.monkey_patch\(\) out.*-k gthread")


@pytest.mark.parametrize(
    ("library", "patched"),
    [
        *((GEVENT, name) for name in ("threading", "queue", "socket")),
        *((EVENTLET, name) for name in ("thread", "socket")),
    ],
)
def test_patches_are_refused(
    monkeypatch: pytest.MonkeyPatch, library: tuple[str, str, str], patched: str
) -> None:
    """Whatever is replaced of what the server needs, the call to take out is named."""
    module, question, cure = library
    pretend(monkeypatch, module, **{question: lambda name: name == patched})
    with pytest.raises(ConfigurationError, match=cure):
        refuse_green_threads()


@pytest.mark.parametrize("library", [GEVENT, EVENTLET])
def test_harmless_patches_are_not_refused(
    monkeypatch: pytest.MonkeyPatch, library: tuple[str, str, str]
) -> None:
    """Having the library imported harms nothing, nor what the server does not need."""
    module, question, _ = library
    pretend(monkeypatch, module, **{question: lambda name: name in {"select", "time", "subprocess"}})
    refuse_green_threads()


def test_green_threads_are_told_from_real_ones() -> None:
    """A server of green threads answers each request in one."""
    greenlet = pytest.importorskip("greenlet")
    assert not is_in_green_thread()
    assert greenlet.greenlet(is_in_green_thread).switch()

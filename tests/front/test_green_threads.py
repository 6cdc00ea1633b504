"""Green threads are told from real ones."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from carboy.exceptions import ConfigurationError
from carboy.front.green_threads import refuse_green_threads


def pretend(monkeypatch: pytest.MonkeyPatch, name: str, **functions: object) -> None:
    """Have a module be imported that says it has patched, or not."""
    module = ModuleType(name)
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("patched", [False, True])
def test_gevent_is_refused_once_it_has_patched_threads(
    monkeypatch: pytest.MonkeyPatch, patched: bool
) -> None:
    """Having it installed, or imported, harms nothing."""
    pretend(monkeypatch, "gevent.monkey", is_module_patched=lambda name: patched and name == "threading")
    if patched:
        with pytest.raises(ConfigurationError, match=r"Take gevent\.monkey\.patch_all\(\) out.*-k gthread"):
            refuse_green_threads()
    else:
        refuse_green_threads()


@pytest.mark.parametrize("patched", [False, True])
def test_eventlet_is_refused_once_it_has_patched_threads(
    monkeypatch: pytest.MonkeyPatch, patched: bool
) -> None:
    """Having it installed, or imported, harms nothing."""
    pretend(monkeypatch, "eventlet.patcher", is_monkey_patched=lambda name: patched and name == "thread")
    if patched:
        with pytest.raises(ConfigurationError, match=r"Take eventlet\.monkey_patch\(\) out.*-k gthread"):
            refuse_green_threads()
    else:
        refuse_green_threads()

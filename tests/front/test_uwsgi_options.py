"""uWSGI runs threads only when it is asked to."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from carboy.exceptions import ConfigurationError
from carboy.front.uwsgi_options import refuse_uwsgi_without_threads


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({b"http-socket": b":8000"}, True),
        ({b"http-socket": b":8000", b"enable-threads": True}, False),
        ({b"threads": b"4"}, False),
        ({"enable-threads": True}, False),
    ],
)
def test_uwsgi_without_threads_is_refused(
    monkeypatch: pytest.MonkeyPatch, options: dict[object, object], refused: bool
) -> None:
    """With the option that is missing, where the process would hang otherwise."""
    module = ModuleType("uwsgi")
    module.opt = options  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "uwsgi", module)
    if refused:
        with pytest.raises(ConfigurationError, match="--enable-threads"):
            refuse_uwsgi_without_threads()
    else:
        refuse_uwsgi_without_threads()


def test_other_processes_are_not_refused() -> None:
    """There is no such module outside uWSGI."""
    refuse_uwsgi_without_threads()

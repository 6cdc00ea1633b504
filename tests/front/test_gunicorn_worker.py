"""What gunicorn says about a worker."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from carboy.front import gunicorn_worker

base = pytest.importorskip("gunicorn.workers.base")
Config = pytest.importorskip("gunicorn.config").Config


@pytest.fixture
def worker() -> Iterator[object]:
    """A worker whose signals this process handles, as gunicorn sets it up."""
    config = Config()
    config.set("threads", 4)
    worker = base.Worker(0, 0, [], None, 30, config, None)
    before = signal.signal(signal.SIGTERM, worker.handle_exit)
    yield worker
    signal.signal(signal.SIGTERM, before)
    worker.tmp.close()


def test_other_processes_have_no_worker() -> None:
    """Nothing is registered, and nothing is known of threads."""
    assert gunicorn_worker.find_worker() is None
    assert not gunicorn_worker.call_at_exit(lambda: None)
    assert not gunicorn_worker.is_stopping()
    assert gunicorn_worker.count_threads(multithread=True) is None
    assert gunicorn_worker.count_threads(multithread=False) == 1


def test_worker_is_found_by_its_signals(worker: object) -> None:
    """With its threads, of which a sync worker uses one."""
    assert gunicorn_worker.find_worker() is worker
    assert gunicorn_worker.count_threads(multithread=True) == 4
    assert gunicorn_worker.count_threads(multithread=False) == 1


@pytest.mark.parametrize(("module", "name"), [("sync", "SyncWorker"), ("gthread", "ThreadWorker")])
def test_workers_that_serve_on_threads_are_known(worker: object, module: str, name: str) -> None:
    """Those that bring a loop of their own are not."""
    kind = getattr(pytest.importorskip(f"gunicorn.workers.{module}"), name)
    assert gunicorn_worker.is_served_by_threads(kind.__new__(kind))
    assert not gunicorn_worker.is_served_by_threads(worker)
    assert gunicorn_worker.is_loaded()


def test_function_is_called_before_the_applications_own(worker: object) -> None:
    """Both run, also when ours fails."""
    called: list[object] = []
    worker.cfg.set("worker_exit", lambda arbiter, leaving: called.append(leaving))  # type: ignore[attr-defined]
    assert gunicorn_worker.call_at_exit(lambda: called.append("ours"))
    worker.cfg.worker_exit(None, worker)  # type: ignore[attr-defined]
    assert called == ["ours", worker]


def test_worker_that_takes_no_more_connections_is_stopping(worker: object) -> None:
    """From the signal on, while requests under way still finish."""
    assert not gunicorn_worker.is_stopping()
    signal.raise_signal(signal.SIGTERM)
    assert gunicorn_worker.is_stopping()

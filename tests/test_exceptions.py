"""Each error knows who is to blame and what it becomes on the wire; the tree in the docstring is the tree."""

from __future__ import annotations

import builtins
import re
from typing import Any

import pytest

from carboy import exceptions
from carboy.exceptions import (
    ArgumentsError,
    BlockingCallError,
    CarboyError,
    ConfigurationError,
    ConnectionRefusedError,
    LimitError,
    LocalError,
    NotConnectedError,
    NotServingError,
    PacketError,
    RemoteError,
    RequestError,
    TimeoutError,
)

ALL = {
    value
    for value in vars(exceptions).values()
    if isinstance(value, type) and value.__module__ == exceptions.__name__
}


def test_every_error_is_a_carboy_error() -> None:
    """One `except` catches whatever the server raises on purpose."""
    assert all(issubclass(error, CarboyError) for error in ALL)


def test_docstring_draws_the_tree() -> None:
    """The drawing at the head of the module names every class below its base."""
    parents: dict[int, str] = {}
    drawn: dict[str, str] = {}
    for line in (exceptions.__doc__ or "").splitlines():
        found = re.match(r"^([ │├└─]+)([A-Z]\w+)", line)
        if found:
            depth, name = len(found[1]), found[2]
            drawn[name] = next(
                (parents[above] for above in sorted(parents, reverse=True) if above < depth), ""
            )
            parents = {above: parent for above, parent in parents.items() if above < depth} | {depth: name}
    assert drawn == {
        error.__name__: error.__bases__[0].__name__ if error is not CarboyError else "" for error in ALL
    }


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ConfigurationError, ValueError),
        (BlockingCallError, RuntimeError),
        (NotConnectedError, ValueError),
        (NotServingError, RuntimeError),
        (ArgumentsError, TypeError),
        (TimeoutError, builtins.TimeoutError),
    ],
)
def test_error_is_also_the_builtin_one(error: type[Exception], builtin: type[Exception]) -> None:
    """Code that knows nothing of Carboy catches the error under the builtin's name."""
    assert issubclass(error, builtin)


@pytest.mark.parametrize(
    ("error", "columns"),
    [
        (LocalError, (500, 1011, None)),
        (RemoteError, (400, 1002, "transport error")),
        (RequestError, (400, 1002, None)),
        (PacketError, (400, 1002, "transport error")),
        (LimitError, (413, 1009, "transport error")),
        (ConnectionRefusedError, (403, 1011, None)),
    ],
)
def test_error_has_its_three_columns(error: Any, columns: tuple[int, int, str | None]) -> None:
    """The HTTP status, the close code and the reason that disconnect handlers are told."""
    assert (error.status, error.close_code, error.reason) == columns


def test_refused_request_has_the_body_of_node() -> None:
    """A request error carries code, message and status of its answer."""
    error = RequestError(3, "Bad request")
    assert (error.code, error.message, error.status, str(error)) == (3, "Bad request", 400, "Bad request")
    assert RequestError(4, "Forbidden", 403).status == 403


def test_limit_error_names_the_option() -> None:
    """Whoever reads the line in the log learns which option sets the bound."""
    error = LimitError("a body is too long", "max_http_buffer_size")
    assert error.option == "max_http_buffer_size"
    assert str(error) == "a body is too long (option max_http_buffer_size)"


@pytest.mark.parametrize(
    ("arguments", "payload"),
    [
        ((), {"message": "Connection rejected by server"}),
        (("no",), {"message": "no"}),
        ((404,), {"message": "404"}),
        (("no", {"a": 1}), {"message": "no", "data": {"a": 1}}),
        (("no", None), {"message": "no", "data": None}),
        (("no", 1, 2), {"message": "no", "data": [1, 2]}),
    ],
)
def test_refusal_carries_its_payload(arguments: tuple[Any, ...], payload: dict[str, Any]) -> None:
    """The arguments of a refusal are the message and the data that the client gets."""
    assert ConnectionRefusedError(*arguments).error_args == payload

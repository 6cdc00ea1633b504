"""The errors of the server, each of which knows who is to blame and what it becomes on the wire.

    CarboyError
    ├── LocalError                      our side, or the application, is at fault
    │   ├── ConfigurationError          an option has a value that cannot work (also a ValueError)
    │   ├── BlockingCallError           a call would block the event loop (also a RuntimeError)
    │   ├── NotConnectedError           no such client is connected here (also a ValueError)
    │   ├── NotServingError             this process can reach no client (also a RuntimeError)
    │   ├── BrokerError                 a message broker cannot be reached (also a ConnectionError)
    │   └── ArgumentsError              a client's arguments do not fit a handler (also a TypeError)
    ├── RemoteError                     the peer is at fault
    │   ├── RequestError                an HTTP request is refused
    │   ├── PacketError                 a packet cannot be read, or comes at a time when it must not
    │   └── LimitError                  the peer went past one of the options that bound it
    ├── ConnectionRefusedError          raised by a connect handler to turn a client away
    └── TimeoutError                    an acknowledgement did not come (also the builtin TimeoutError)

The three columns of an error are class attributes, so that each front end converts errors in one place:
`status` (HTTP), `close_code` (RFC 6455 section 7.4) and `reason` (what a disconnect handler is told; None is
not fatal).
"""

from __future__ import annotations

import builtins
from typing import Any, ClassVar


class CarboyError(Exception):
    """Base of every error that the server raises on purpose."""

    status: ClassVar[int] = 500
    close_code: ClassVar[int] = 1011
    reason: ClassVar[str | None] = None


class LocalError(CarboyError):
    """The server or the application is at fault, not the peer."""


class ConfigurationError(LocalError, ValueError):
    """An option has a value that cannot work."""


class BlockingCallError(LocalError, RuntimeError):
    """A call was made where it would block the event loop."""


class NotConnectedError(LocalError, ValueError):
    """No client with that sid is connected to that namespace here."""


class NotServingError(LocalError, RuntimeError):
    """Nothing that this process emits could reach a client."""


class BrokerError(LocalError, ConnectionError):
    """A message broker cannot be reached, or refuses."""


class ArgumentsError(LocalError, TypeError):
    """The arguments that a client sent do not fit the signature of the handler."""


class RemoteError(CarboyError):
    """The peer is at fault."""

    status = 400
    close_code = 1002
    reason: ClassVar[str | None] = "transport error"


class RequestError(RemoteError):
    """An Engine.IO request is refused.

    Attributes:
        code: the number in the answer's body, as the Node server has it (0 to 5).
        message: the text in the answer's body.
        status: the HTTP status of the answer.
    """

    reason: ClassVar[str | None] = None

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status  # type: ignore[misc]  # one class serves 400, 403 and 413


class PacketError(RemoteError):
    """A packet cannot be read, or comes at a time when it must not."""


class LimitError(RemoteError):
    """The peer went past a bound.

    Attributes:
        option: the name of the option that sets the bound.
    """

    status = 413
    close_code = 1009

    def __init__(self, message: str, option: str) -> None:
        super().__init__(f"{message} (option {option})")
        self.option = option


class ConnectionRefusedError(CarboyError):
    """Raised by a connect handler to refuse the client.

    Args:
        *args: nothing, or the message, or the message and the data that go with it.

    Attributes:
        error_args: the payload of the CONNECT_ERROR packet, a dict with "message" and perhaps "data".
    """

    status = 403

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.error_args: dict[str, Any] = {"message": "Connection rejected by server"}
        if args:
            self.error_args = {"message": str(args[0])}
        if len(args) > 1:
            self.error_args["data"] = args[1] if len(args) == 2 else list(args[1:])


class TimeoutError(CarboyError, builtins.TimeoutError):
    """An acknowledgement did not come in time, or can come no more because the client has left."""

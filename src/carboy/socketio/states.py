"""The life of a client of one namespace: its states, and what may happen in each.

Two things happen to a client, in either order: its connect handler decides (ACCEPT or REFUSE), and somebody
ends it (LEAVE: the client, its transport, or the server). Once it was accepted and has left, its disconnect
handler runs, and FINISH reports the end of that. Hence the state ABANDONED, of a client that left before the
decision: without it nothing would tell a decision still to come from one already taken.

    LEAVING is entered by ACCEPT from ABANDONED, or by LEAVE from CONNECTED. No life has more than one ACCEPT.
    So every accepted client that leaves enters LEAVING once, and no other client ever does: whoever starts
    the disconnect handler on entering LEAVING starts it exactly once.

Several parties may tell a client to leave, so LEAVE after the first changes nothing. Every other input comes
from one place in the runtime; out of its turn it is a defect, and raises.
"""

from __future__ import annotations

from enum import Enum, auto

from carboy.exceptions import LocalError


class ClientState(Enum):
    """Where a client of a namespace is in its life. Compare with `is`."""

    __hash__ = object.__hash__  # by identity; that of Enum is a call of Python

    CONNECTING = auto()  # its connect handler runs; what is emitted to it is held
    ABANDONED = auto()  # left while its connect handler runs; no recipient
    CONNECTED = auto()  # the only state in which it receives, and its events run
    LEAVING = auto()  # its disconnect handler waits or runs; no recipient, its rooms are still readable
    GONE = auto()  # nothing more happens


class ClientInput(Enum):
    """What happens to a client of a namespace."""

    __hash__ = object.__hash__  # by identity; that of Enum is a call of Python

    ACCEPT = auto()  # the connect handler accepted
    REFUSE = auto()  # the connect handler refused, raised, or called disconnect()
    LEAVE = auto()  # the client, its transport or the server ends it
    FINISH = auto()  # the disconnect handler has returned


CLIENT_TRANSITIONS: dict[tuple[ClientState, ClientInput], ClientState] = {
    (ClientState.CONNECTING, ClientInput.ACCEPT): ClientState.CONNECTED,
    (ClientState.CONNECTING, ClientInput.REFUSE): ClientState.GONE,
    (ClientState.CONNECTING, ClientInput.LEAVE): ClientState.ABANDONED,
    (ClientState.ABANDONED, ClientInput.ACCEPT): ClientState.LEAVING,
    (ClientState.ABANDONED, ClientInput.REFUSE): ClientState.GONE,
    (ClientState.ABANDONED, ClientInput.LEAVE): ClientState.ABANDONED,
    (ClientState.CONNECTED, ClientInput.LEAVE): ClientState.LEAVING,
    (ClientState.LEAVING, ClientInput.LEAVE): ClientState.LEAVING,
    (ClientState.LEAVING, ClientInput.FINISH): ClientState.GONE,
    (ClientState.GONE, ClientInput.LEAVE): ClientState.GONE,
}


def transition(state: ClientState, input: ClientInput) -> ClientState:
    """Looks up what follows.

    Args:
        state: the present state.
        input: what happened.

    Returns:
        The next state.

    Raises:
        LocalError: if this cannot happen in this state.
    """
    try:
        return CLIENT_TRANSITIONS[state, input]
    except KeyError:
        raise LocalError(f"{input.name} cannot happen to a client that is {state.name}") from None

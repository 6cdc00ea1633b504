"""The states of an engine session: every transition there is, in one table.

Must not know packets, transports or time. Whoever needs a new transition adds a line
here and nowhere else.

Theory
------
A session has one transport that carries it, and perhaps a candidate: a websocket that asks to take a polling
session over. A session that starts on a websocket begins in WEBSOCKET and never has a candidate.

                  attach              2probe                5
    POLLING --------------> PROBING ---------> UPGRADING ---------> WEBSOCKET
       ^                     |   |                 |                    ^
       +---------------------+---|-----------------+                    |
         the candidate fails     +--------------------------------------+
                                   5 without a probe, which Node takes too

- While there is a candidate, polling goes on: posts are read, polls are answered. A probed candidate makes
  polls return at once (with NOOP when there is no output), since the client sends its "5" only when its last
  poll is back. So all that was polled stands before what the websocket carries, and order is kept.
- Whatever goes wrong with a candidate (a wrong first packet, its loss, the timeout) costs the candidate only.
- A second candidate is refused: accepted as a websocket and closed at once, as Node does. So is one that
  comes after the upgrade or after the end.
- A websocket is closed where it stands. A polling client can only hear of a close in the answer to a poll; if
  none waits, the session stays in CLOSING: a poll gets the output that is left and then "1" (CLOSE_HEARD), or
  a time runs out. The disconnect handlers run when the close is decided, not when it is heard.
- In CLOSING a candidate may still finish: the client may have stopped to poll, so that the websocket is the
  only way to tell it. It gets the rest of the output and is closed.
- A peer that broke the rules, went away or stopped to answer is told nothing it would have to ask for: such a
  session goes to CLOSED at once, and later requests find no such sid.
- After the end nothing happens any more: what was under way (timers, losses, packets of the same read) is
  ignored.

Inputs that begin with CANDIDATE, and PROBE and UPGRADE, are fed for the attached candidate only, never for
one that was dropped or refused. A pair that is not in the table breaks the protocol (`PacketError`).
CANDIDATE_FAILED is there wherever a late timer or loss of a dropped candidate may bring it.

Every effect that ends in CLOSED also closes a candidate that is still attached.
"""

from __future__ import annotations

import enum


class SessionState(enum.Enum):
    """Where a session stands."""

    __hash__ = object.__hash__  # by identity; that of Enum is a call of Python

    POLLING = enum.auto()
    """Carried by long-polling, no candidate."""
    PROBING = enum.auto()
    """Carried by long-polling; a websocket is attached that has not sent its probe."""
    UPGRADING = enum.auto()
    """Carried by long-polling; the probe of the websocket is answered."""
    WEBSOCKET = enum.auto()
    """Carried by a websocket."""
    CLOSING = enum.auto()
    """The close is decided; the polling client has still to hear of it."""
    CLOSED = enum.auto()
    """Over."""


class SessionInput(enum.Enum):
    """What happens to a session."""

    __hash__ = object.__hash__  # by identity; that of Enum is a call of Python

    CANDIDATE_ATTACHED = enum.auto()
    """A websocket came with the sid of this session."""
    PROBE = enum.auto()
    """The candidate sent "2probe"."""
    UPGRADE = enum.auto()
    """The candidate sent "5"."""
    CANDIDATE_FAILED = enum.auto()
    """The candidate sent anything else, was lost, or took too long."""
    PEER_CLOSED = enum.auto()
    """The peer sent a CLOSE packet."""
    TRANSPORT_LOST = enum.auto()
    """The transport that carries the session is gone; for polling an aborted request."""
    PING_TIMED_OUT = enum.auto()
    """The peer left a ping unanswered."""
    VIOLATION = enum.auto()
    """The peer broke a rule or went past a limit; two polls or two posts at once are among these."""
    SERVER_CLOSED = enum.auto()
    """The application or the server ends the session."""
    CLOSE_HEARD = enum.auto()
    """A poll carried the CLOSE packet of a session in CLOSING."""
    CLOSE_TIMED_OUT = enum.auto()
    """No poll came to hear of the close."""


class Effect(enum.Enum):
    """What the runtime has to do."""

    NOTHING = enum.auto()
    START_UPGRADE = enum.auto()
    """Keep the websocket as the candidate and start the time that the upgrade may take."""
    REFUSE_CANDIDATE = enum.auto()
    """Close the websocket that has just come; the one that is attached is not concerned."""
    ANSWER_PROBE = enum.auto()
    """Send "3probe" on the candidate; answer a waiting poll, with output if there is any, else with NOOP."""
    SWITCH = enum.auto()
    """The candidate is the transport: answer a waiting poll with NOOP, stop the timer, write the output."""
    DROP_CANDIDATE = enum.auto()
    """Close the candidate and stop the timer; the session is not concerned."""
    ANNOUNCE_CLOSE = enum.auto()
    """Answer a waiting poll with the output and CLOSE (CLOSE_HEARD), or start the time for one to come."""
    SWITCH_AND_CLOSE = enum.auto()
    """Write the rest of the output to the candidate and close it; then the session is over."""
    RELEASE = enum.auto()
    """Answer a waiting poll with NOOP, since its client has closed the session, which is over."""
    CLOSE = enum.auto()
    """Answer a waiting poll with CLOSE, or close the websocket; then the session is over."""
    FORGET = enum.auto()
    """All is said: the session is over."""
    SEND_PING = enum.auto()
    """Send a PING packet (of the heartbeat; not in the table)."""


TRANSITIONS: dict[SessionState, dict[SessionInput, tuple[SessionState, Effect]]] = {
    SessionState.POLLING: {
        SessionInput.CANDIDATE_ATTACHED: (SessionState.PROBING, Effect.START_UPGRADE),
        SessionInput.CANDIDATE_FAILED: (SessionState.POLLING, Effect.NOTHING),
        SessionInput.PEER_CLOSED: (SessionState.CLOSED, Effect.RELEASE),
        SessionInput.TRANSPORT_LOST: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.PING_TIMED_OUT: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.VIOLATION: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.SERVER_CLOSED: (SessionState.CLOSING, Effect.ANNOUNCE_CLOSE),
    },
    SessionState.PROBING: {
        SessionInput.CANDIDATE_ATTACHED: (SessionState.PROBING, Effect.REFUSE_CANDIDATE),
        SessionInput.PROBE: (SessionState.UPGRADING, Effect.ANSWER_PROBE),
        SessionInput.UPGRADE: (SessionState.WEBSOCKET, Effect.SWITCH),
        SessionInput.CANDIDATE_FAILED: (SessionState.POLLING, Effect.DROP_CANDIDATE),
        SessionInput.PEER_CLOSED: (SessionState.CLOSED, Effect.RELEASE),
        SessionInput.TRANSPORT_LOST: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.PING_TIMED_OUT: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.VIOLATION: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.SERVER_CLOSED: (SessionState.CLOSING, Effect.ANNOUNCE_CLOSE),
    },
    SessionState.UPGRADING: {
        SessionInput.CANDIDATE_ATTACHED: (SessionState.UPGRADING, Effect.REFUSE_CANDIDATE),
        SessionInput.PROBE: (SessionState.UPGRADING, Effect.ANSWER_PROBE),
        SessionInput.UPGRADE: (SessionState.WEBSOCKET, Effect.SWITCH),
        SessionInput.CANDIDATE_FAILED: (SessionState.POLLING, Effect.DROP_CANDIDATE),
        SessionInput.PEER_CLOSED: (SessionState.CLOSED, Effect.RELEASE),
        SessionInput.TRANSPORT_LOST: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.PING_TIMED_OUT: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.VIOLATION: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.SERVER_CLOSED: (SessionState.CLOSING, Effect.ANNOUNCE_CLOSE),
    },
    SessionState.WEBSOCKET: {
        SessionInput.CANDIDATE_ATTACHED: (SessionState.WEBSOCKET, Effect.REFUSE_CANDIDATE),
        SessionInput.CANDIDATE_FAILED: (SessionState.WEBSOCKET, Effect.NOTHING),
        SessionInput.PEER_CLOSED: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.TRANSPORT_LOST: (SessionState.CLOSED, Effect.FORGET),
        SessionInput.PING_TIMED_OUT: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.VIOLATION: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.SERVER_CLOSED: (SessionState.CLOSED, Effect.CLOSE),
    },
    SessionState.CLOSING: {
        SessionInput.CANDIDATE_ATTACHED: (SessionState.CLOSING, Effect.REFUSE_CANDIDATE),
        SessionInput.PROBE: (SessionState.CLOSING, Effect.ANSWER_PROBE),
        SessionInput.UPGRADE: (SessionState.CLOSED, Effect.SWITCH_AND_CLOSE),
        SessionInput.CANDIDATE_FAILED: (SessionState.CLOSING, Effect.DROP_CANDIDATE),
        SessionInput.PEER_CLOSED: (SessionState.CLOSED, Effect.RELEASE),
        SessionInput.TRANSPORT_LOST: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.PING_TIMED_OUT: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.VIOLATION: (SessionState.CLOSED, Effect.CLOSE),
        SessionInput.SERVER_CLOSED: (SessionState.CLOSING, Effect.NOTHING),
        SessionInput.CLOSE_HEARD: (SessionState.CLOSED, Effect.FORGET),
        SessionInput.CLOSE_TIMED_OUT: (SessionState.CLOSED, Effect.FORGET),
    },
    SessionState.CLOSED: {
        SessionInput.CANDIDATE_ATTACHED: (SessionState.CLOSED, Effect.REFUSE_CANDIDATE),
        SessionInput.PROBE: (SessionState.CLOSED, Effect.NOTHING),
        SessionInput.UPGRADE: (SessionState.CLOSED, Effect.NOTHING),
        SessionInput.CANDIDATE_FAILED: (SessionState.CLOSED, Effect.NOTHING),
        SessionInput.PEER_CLOSED: (SessionState.CLOSED, Effect.NOTHING),
        SessionInput.TRANSPORT_LOST: (SessionState.CLOSED, Effect.NOTHING),
        SessionInput.PING_TIMED_OUT: (SessionState.CLOSED, Effect.NOTHING),
        SessionInput.VIOLATION: (SessionState.CLOSED, Effect.NOTHING),
        SessionInput.SERVER_CLOSED: (SessionState.CLOSED, Effect.NOTHING),
        SessionInput.CLOSE_HEARD: (SessionState.CLOSED, Effect.NOTHING),
        SessionInput.CLOSE_TIMED_OUT: (SessionState.CLOSED, Effect.NOTHING),
    },
}
"""state -> input -> (next state, what to do)."""

CLOSE_REASONS: dict[SessionInput, str] = {
    SessionInput.PEER_CLOSED: "client disconnect",
    SessionInput.TRANSPORT_LOST: "transport close",
    SessionInput.PING_TIMED_OUT: "ping timeout",
    SessionInput.VIOLATION: "transport error",
    SessionInput.SERVER_CLOSED: "server disconnect",
}
"""What disconnect handlers are told, as in Flask-SocketIO, by the input that decided the end."""

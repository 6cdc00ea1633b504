"""Engine.IO v4 without IO: packets, payloads, the checks of a request, and the states of a session.

Nothing here opens a socket, reads a clock, starts a thread or writes a log: bytes and `now` (seconds, from
any monotonic clock) come in, bytes, effects and deadlines go out. The standard library is all it needs.

    packets, payloads            what is on the wire
    requests, origins            whether a request is let in
    cookies, content_encoding    how it is answered
    sids                         the name of a session
    states, session, heartbeat   what a session may do next, and when
"""

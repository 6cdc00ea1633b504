"""Socket.IO protocol version 5 without input and output: packets, codecs, attachments, states of a client.

Import from the modules. Nothing here reads a clock, logs, or knows threads, event loops or Engine.IO.
"""

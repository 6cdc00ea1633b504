"""Where requests come in: ASGI, WSGI and the embedded server."""

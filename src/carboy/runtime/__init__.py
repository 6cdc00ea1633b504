"""The hub: it alone owns the loop, threads and timers."""

"""Fixtures of the transport tests, which share the servers of the front tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "front"))

from sites import forgotten, site  # found by the line above under every import mode

__all__ = ["forgotten", "site"]

"""Fixtures of the tests that serve on loopback."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sites import forgotten, site  # found by the line above under every import mode

__all__ = ["forgotten", "site"]

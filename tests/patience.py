"""How long tests wait for what will happen: longer where a processor is emulated."""

from __future__ import annotations

import os


def patient(seconds: float) -> float:
    """The seconds, as often as LIBCT_SLOWNESS says; tests/vm sets it in its guests."""
    return seconds * float(os.environ.get("LIBCT_SLOWNESS", "1"))

"""The operations that plans are made of, whichever modules have been loaded."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import libct
from libct.plan.step import OPERATIONS, Operation

PACKAGE = Path(libct.__file__).parent


def declared() -> dict[str, Operation]:
    """All that libct declares, by their names; tests declare some, too, which are not here."""
    for module in iter_modules([str(PACKAGE / "plan")]):
        import_module(f"libct.plan.{module.name}")
    return {
        name: made
        for name, made in OPERATIONS.items()
        if made.calls.__module__.startswith("libct.")
    }

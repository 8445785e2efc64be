"""Closing the way by which a cloned process could load code."""

from __future__ import annotations

import sys


def close_the_door() -> None:
    """Import nothing from here on: it would be the container's files, with the host's rights.

    The server has loaded all that the steps need (docs/architecture.md, invariant 1).  An
    import of what is not loaded asks the finders of sys.meta_path; they alone look at sys.path
    and its caches.
    """
    sys.meta_path.clear()

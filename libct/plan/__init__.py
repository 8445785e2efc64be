"""From a configuration and the facts of the host to a plan: the deciding half, and pure.

The public function libct.plan() and this room have one name.  Whoever imports
a module of the room gets it as the attribute `plan` of libct, so the room can
be called, and does what the function does.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Room(type(sys)):  # type: ignore[misc]  # the type of modules, without importing types
    def __call__(self, *args: Any, **options: Any) -> Any:
        face: Any = sys.modules[__name__.rpartition(".")[0]]
        return face.__getattr__("plan")(*args, **options)


sys.modules[__name__].__class__ = _Room

"""libct checkpoint and restore: their command lines, and a plain word that they do nothing yet."""

from __future__ import annotations

from ..errors import Error, Unsupported
from ..life.container import load
from ..life.directory import check_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Arguments

_MISSING = "not supported yet: libct does not drive CRIU"


def checkpoint(arguments: Arguments) -> int:
    """Refused before anything is written or stopped."""
    load(arguments.root, arguments.operands[0])
    raise Unsupported(f"checkpoint: {_MISSING}; the container is as it was")


def restore(arguments: Arguments) -> int:
    check_id(arguments.operands[0])
    if arguments.console_socket and not arguments.detach:
        raise Error("cannot use console socket if libct will not detach or allocate tty")
    raise Unsupported(f"restore: {_MISSING}")

"""What is said and done when a container goes."""

from __future__ import annotations

import sys

from ..errors import Error, note, notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..life.container import Container
    from .options import Arguments


def remove(arguments: Arguments, container: Container) -> None:
    """After the failure that is being handled, which stays the one that is reported first."""
    first = sys.exc_info()[1]
    try:
        container.destroy(force=True)
    except Error as error:
        if first is not None and str(error) not in notes(first):
            note(first, str(error))
    warn(arguments, container)


def warn(arguments: Arguments, container: Container) -> None:
    """Log what kept nothing from being done, each once."""
    if container.warnings:
        from .log import report

        report(arguments, "warning", *container.warnings)
        container.warnings.clear()

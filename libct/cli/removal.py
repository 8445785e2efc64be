"""What is said and done when a container goes."""

from __future__ import annotations

from ..errors import Error, note, notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..life.container import Container
    from .options import Arguments


def remove(arguments: Arguments, container: Container, error: BaseException) -> None:
    """After a failure, which is what is reported, and those of this after it."""
    try:
        container.destroy(force=True)
    except Error as failure:
        if str(failure) not in notes(error):
            note(error, str(failure))
    warn(arguments, container)


def warn(arguments: Arguments, container: Container) -> None:
    """Log what kept nothing from being done, each once."""
    if container.warnings:
        from .log import report

        report(arguments, "warning", *container.warnings)
        container.warnings.clear()

"""What is said and done when a container goes."""

from __future__ import annotations

from ..errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..life.container import Container
    from .options import Arguments


def remove(arguments: Arguments, container: Container) -> None:
    """After a failure, which is what is to be reported and not one of this."""
    try:
        container.destroy(force=True)
    except Error:
        pass
    warn(arguments, container)


def warn(arguments: Arguments, container: Container) -> None:
    """Log what kept nothing from being done, each once."""
    if container.warnings:
        from .log import report

        report(arguments, "warning", *container.warnings)
        container.warnings.clear()

"""The command line: runc's commands, and libct's own (commands.py lists them)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, sys.argv unless another is given; returns the exit status.

    With sys.argv the process is ours, and short-lived: its garbage is not
    collected.
    """
    if argv is None:
        import gc

        gc.disable()
    from .dispatch import main as run

    return run(argv)

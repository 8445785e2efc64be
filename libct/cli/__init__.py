"""The command line: runc's commands, and libct's own (commands.py lists them)."""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


_PACKAGE = __name__.rpartition(".")[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return the exit status.

    Without argv it is that of this process, which then ends here: garbage is
    not collected on the way, nor the interpreter taken apart at the end, which
    saves some milliseconds each.  With it, this process is a program of its own
    that goes on, and is then what it was: its bootstrap server is as for any use of
    the library, and orphans are not its children if they were not before.
    """
    if argv is None:
        import gc

        gc.disable()
        from ..loading import finder

        finder.install()
        _name_interpreter()
    from .dispatch import main as run

    if argv is not None:
        from ..syscalls.settings import get_child_subreaper, set_child_subreaper

        adopts = get_child_subreaper()
        try:
            return run(argv, own=False)
        finally:
            set_child_subreaper(adopts)
    status = run(sys.argv[1:], own=True)
    servers = sys.modules.get(f"{_PACKAGE}.bootstrap.servers")
    if servers is not None:
        servers.end_server()
    import atexit

    atexit._run_exitfuncs()  # coverage's, for one
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads it
    posix._exit(status)


def _name_interpreter() -> None:
    """Have the server run by what runs us, unless somebody has said by what.

    sys.executable may be what a variable of the environment says (PYTHONEXECUTABLE).
    """
    names = vars(sys.modules[_PACKAGE])
    if not names["interpreter"]:
        try:
            names["interpreter"] = posix.readlink("/proc/self/exe")
        except OSError:
            pass  # no /proc: a command that needs it will say so

"""The terminal of a container (config.md, Process, `terminal`; pts(4); CVE-2025-52565).

The pseudo terminal is of the container's own devpts.  Its other side is got
from the master by TIOCGPTPEER, never by a path that could be exchanged.
"""

from __future__ import annotations

import _stat as stat
import fcntl
import posix
import termios

from ..errors import StepProblem
from ..syscalls.constants import DEVPTS_SUPER_MAGIC
from ..syscalls.filesystems import fstatfs
from ..syscalls.sockets import send_descriptor
from ..syscalls.terminals import open_peer, set_controlling, set_window_size, unlock
from .attach import attach
from .binds import clone_tree
from .paths import make_in_root, open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

_PTMX = posix.makedev(5, 2)  # one node in a devpts has it: mknod_ptmx(), fs/devpts/inode.c


def make_console(
    context: Context, rows: int, columns: int, bind_console: bool, onlcr: bool = True
) -> None:
    """A pseudo terminal becomes standard input, output and error; its master is sent away.

    The master goes to the socket "console socket", with the name of the
    terminal as payload.  rows and columns: the size, 0 leaves it.
    bind_console: the terminal is /dev/console too (not for exec).
    onlcr: the end of a line is read from the master as the kernel has it, \\r\\n; else as
        the process has written it, from its first line on.
    """
    master = _open_master(context)
    try:
        unlock(master)
        peer = open_peer(master, posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC)
        if not onlcr:
            _clear_onlcr(peer)
        if rows or columns:
            set_window_size(master, rows, columns)
        if bind_console:
            _bind(context, peer)
        send_descriptor(context.fds["console socket"], master, b"/dev/ptmx")
    finally:
        posix.close(master)
    context.release("console socket")
    context.keep("stdin", peer)
    context.keep("stdout", fcntl.fcntl(peer, fcntl.F_DUPFD_CLOEXEC, 3))
    context.keep("stderr", fcntl.fcntl(peer, fcntl.F_DUPFD_CLOEXEC, 3))


def control_terminal(context: Context) -> None:
    """Before it is made standard input, or after that."""
    set_controlling(context.fds.get("stdin", 0))


def _open_master(context: Context) -> int:
    """The multiplexer of the container's devpts, which makes a new terminal when it is opened.

    It is verified before that, for it may be any device of the image's instead.
    """
    try:
        ptmx = open_in_root(context.fds["root"], "/dev/pts/ptmx", posix.O_PATH | posix.O_NOFOLLOW)
    except FileNotFoundError:
        hint = "a terminal needs a mount of type devpts on /dev/pts"
        raise StepProblem("the container has no /dev/pts/ptmx", hint) from None
    try:
        found = posix.fstat(ptmx)
        on_devpts = fstatfs(ptmx).type == DEVPTS_SUPER_MAGIC
        if not on_devpts or found.st_rdev != _PTMX:
            raise StepProblem("/dev/pts/ptmx is not the multiplexer of a devpts file system")
        flags = posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC
        return posix.open(f"self/fd/{ptmx}", flags, dir_fd=context.fds["proc"])
    finally:
        posix.close(ptmx)


def _clear_onlcr(peer: int) -> None:
    state = termios.tcgetattr(peer)
    state[1] &= ~termios.ONLCR
    termios.tcsetattr(peer, termios.TCSANOW, state)


def _bind(context: Context, peer: int) -> None:
    tree = clone_tree("", recursive=False, dirfd=peer)
    try:
        place = make_in_root(context.fds["root"], "/dev/console", directory=False)
        try:
            if stat.S_ISDIR(posix.fstat(place).st_mode):
                raise StepProblem("/dev/console is a directory")
            attach(context, tree, place, "/dev/console")
        finally:
            posix.close(place)
    finally:
        posix.close(tree)

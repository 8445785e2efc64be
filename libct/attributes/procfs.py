"""Files of the host's /proc, opened so that nothing can stand in for them.

What is written below /proc decides about confinement.  So it is opened below
the descriptor that open_proc() has verified, through no other mount and
no magic link, and checked to be on procfs (CVE-2019-16884, CVE-2025-52881).
"""

from __future__ import annotations

import errno
import posix

from ..errors import StepProblem
from ..loading.paths import fsencode
from ..syscalls.constants import PROC_SUPER_MAGIC
from ..syscalls.files import (
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    RESOLVE_NO_XDEV,
    openat2,
)
from ..syscalls.filesystems import fstatfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

_PROC_ROOT = 1  # the inode of a procfs' root directory: PROC_ROOT_INO
_RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV


def open_proc(context: Context) -> None:
    """Keep the host's /proc under "proc" for what is written and reopened through it.

    The container's own /proc is the image's business and cannot be trusted
    (CVE-2025-52881).  /proc/sys and /proc/self show the namespaces and the
    process of who looks, so the host's serves.
    """
    proc = posix.open("/proc", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    context.keep("proc", proc)
    if not is_whole_proc(proc):
        raise StepProblem("/proc is not a proc file system", "mount proc on /proc")


def is_whole_proc(fd: int) -> bool:
    return fstatfs(fd).type == PROC_SUPER_MAGIC and posix.fstat(fd).st_ino == _PROC_ROOT


def open_proc_file(proc: int, path: str, flags: int) -> int:
    """Open path below proc, a descriptor of /proc's root; close-on-exec.

    "self" and "thread-self", where path begins with one, are the only symbolic links
    that are followed.
    """
    own = path.startswith(("self/", "thread-self/"))
    resolve = _RESOLVE if own else _RESOLVE | RESOLVE_NO_SYMLINKS
    try:
        fd = openat2(path, dirfd=proc, flags=flags | posix.O_CLOEXEC, resolve=resolve)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        raise StepProblem(
            f"/proc/{path} is covered by another mount",
            "unmount it, or run where /proc is whole",
        ) from None
    if fstatfs(fd).type != PROC_SUPER_MAGIC:
        posix.close(fd)
        raise StepProblem(f"/proc/{path} is not on a proc file system")
    return fd


def write_proc_file(proc: int, path: str, text: str) -> None:
    """Write text to an existing file, in the one write that such files take."""
    fd = open_proc_file(proc, path, posix.O_WRONLY)
    try:
        data = fsencode(text)
        if posix.write(fd, data) != len(data):
            raise StepProblem(f"/proc/{path} took only a part of {text!r}")
    except OSError as error:
        error.filename = f"/proc/{path}"
        raise
    finally:
        posix.close(fd)

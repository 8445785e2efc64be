"""Device access with cgroup v2: an eBPF program attached to the group."""

from __future__ import annotations

import errno
import posix

from ...syscalls import bpf
from ...syscalls.constants import RLIM_INFINITY, RLIMITS
from ...syscalls.process import prlimit
from .. import files
from ..files import hinted
from .program import needed_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...bootstrap.context import Context
    from ..ledger import Ledger

_MEMLOCK = RLIMITS["RLIMIT_MEMLOCK"]


def cgroup_devices_v2(
    context: Context, directory: str, default: str, exceptions: tuple[str, ...], optional: int = 0
) -> None:
    """Put a program for this default and these exceptions in the place of the group's others.

    optional: a refusal for want of permission is no error, as in a user
    namespace, where nobody may attach programs and few can make device nodes.
    """
    program = needed_program(default, exceptions)
    ledger: Ledger | None = context.values.get("ledger")  # of a start
    try:
        group = files.open_file(directory, posix.O_RDONLY | posix.O_DIRECTORY)
    except OSError as error:
        if optional and error.errno in (errno.ENOENT, errno.EACCES):
            return
        raise
    try:
        replace_programs(group, program)
        if ledger is not None and program is not None:
            ledger.restrict(directory)
    except OSError as error:
        if optional and error.errno in (errno.EPERM, errno.EACCES):
            return
        # Where all is allowed, a kernel without programs does no harm.
        if program is None and error.errno in (errno.EINVAL, errno.EPERM, errno.ENOSYS):
            return
        raise _hinted(error) from None
    finally:
        posix.close(group)


def replace_programs(group: int, program: bytes | None) -> None:
    """Make program the one device program of a group, at once if there is one now.

    group: a descriptor of its directory, borrowed.  program: None to have none.
    Of several programs each must allow an access, so those that were there
    before must go; the new one is in place first.
    """
    _, present = bpf.prog_query(group)
    old = [bpf.prog_get_fd_by_id(number) for number in present]
    loaded = -1
    try:
        if program is not None:
            loaded = _load(program)
            if len(old) == 1:
                try:
                    bpf.prog_attach(group, loaded, flags=bpf.BPF_F_ALLOW_MULTI, replace=old[0])
                    return
                except OSError as error:
                    # Before Linux 5.6, or the old one was attached without ALLOW_MULTI.
                    if error.errno not in (errno.EINVAL, errno.EPERM, errno.ENOENT):
                        raise
            bpf.prog_attach(group, loaded, flags=bpf.BPF_F_ALLOW_MULTI)
        for former in old:
            bpf.prog_detach(group, former)
    finally:
        for fd in (*old, loaded):
            if fd >= 0:
                posix.close(fd)


def _load(program: bytes) -> int:
    """Load a program; its descriptor.

    Before Linux 5.11 programs count as locked memory, of which few is allowed
    by default, and EPERM is the answer.
    """
    try:
        return bpf.prog_load(program, name="libct_devices")
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        problem = error
    before = prlimit(0, _MEMLOCK)
    if before[0] == RLIM_INFINITY:
        raise problem
    try:
        _allow_locked(before)
        return bpf.prog_load(program, name="libct_devices")
    finally:
        prlimit(0, _MEMLOCK, *before)


def _allow_locked(before: tuple[int, int]) -> None:
    """Raise RLIMIT_MEMLOCK for a moment: without limit, or as far as the hard limit lets us."""
    try:
        prlimit(0, _MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)
    except OSError:  # raising the hard limit needs CAP_SYS_RESOURCE
        prlimit(0, _MEMLOCK, before[1], before[1])


def _hinted(error: OSError) -> OSError:
    if error.errno == errno.EPERM:
        return hinted(error, "device programs need CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN")
    if error.errno in (errno.EINVAL, errno.ENOSYS):
        return hinted(error, "the kernel must have CONFIG_CGROUP_BPF")
    return error

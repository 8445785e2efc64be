"""Device access with cgroup v2: an eBPF program attached to the group."""

from __future__ import annotations

import errno
import posix

from ...syscalls import bpf
from ...syscalls.constants import RLIM_INFINITY, RLIMITS
from ...syscalls.process import prlimit
from ...syscalls.userns import in_user_namespace
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
        changed = replace_programs(group, program)
        if changed and ledger is not None and program is not None:
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


def replace_programs(group: int, program: bytes | None) -> bool:
    """Make program the one device program of a group, at once if there is one now.

    group: a descriptor of its directory, borrowed.  program: None to have none.
    Of several programs each must allow an access, so those that were there
    before must go; the new one is in place first.

    False where it is what there is, which stays.
    """
    flags, present = bpf.prog_query(group)
    old: list[int] = []
    loaded = -1
    try:
        for number in present:
            try:
                old.append(bpf.prog_get_fd_by_id(number))
            except FileNotFoundError:
                continue  # somebody has detached it just now
        if program is not None:
            loaded = _load(program)
            if len(old) == 1 and flags == bpf.BPF_F_ALLOW_MULTI and _is_same(old[0], loaded):
                return False
            if old and flags != bpf.BPF_F_ALLOW_MULTI:
                # Attached as the only one: another one of that kind takes its place.
                bpf.prog_attach(group, loaded, flags=flags)
                return True
            if len(old) == 1:
                try:
                    bpf.prog_attach(group, loaded, flags=bpf.BPF_F_ALLOW_MULTI, replace=old[0])
                    return True
                except OSError as error:
                    # Before Linux 5.6, or it was detached meanwhile.
                    if error.errno not in (errno.EINVAL, errno.ENOENT):
                        raise
            bpf.prog_attach(group, loaded, flags=bpf.BPF_F_ALLOW_MULTI)
        for former in old:
            try:
                bpf.prog_detach(group, former)
            except FileNotFoundError:
                continue  # somebody else was faster
        return bool(old) or program is not None
    finally:
        for fd in (*old, loaded):
            if fd >= 0:
                posix.close(fd)


def _is_same(one: int, other: int) -> bool:
    """Whether two programs consist of the same instructions."""
    tag = _tag(one)
    return bool(tag) and tag == _tag(other)


def _tag(program: int) -> str:
    """A digest of its instructions, which the kernel makes (proc(5), /proc/pid/fdinfo); or ""."""
    try:
        with open(f"/proc/self/fdinfo/{program}", encoding="ascii") as file:
            return file.read().partition("\nprog_tag:")[2].partition("\n")[0].strip()
    except OSError:
        return ""  # without a procfs


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
    if error.errno in (errno.EPERM, errno.EACCES) and in_user_namespace():
        return hinted(error, "nobody may attach device programs in a user namespace")
    if error.errno == errno.EPERM:
        return hinted(
            error,
            "device programs need CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN; before Linux 5.11"
            " also CAP_SYS_RESOURCE or a higher limit of locked memory (ulimit -l)",
        )
    if error.errno in (errno.EINVAL, errno.ENOSYS):
        return hinted(error, "the kernel must have CONFIG_CGROUP_BPF")
    return error

"""Who a process is: user and group ids, and capabilities.

The kernel keeps credentials per thread; libc's setuid family changes those of
all threads together, by signals.  These calls are the kernel's own and change
the calling thread alone, which must be the only one for that to be a loss of
rights.  Getters of ids are in os.

Documents: credentials(7), capabilities(7).
"""

from __future__ import annotations

from .c import (
    POINTER,
    Structure,
    byref,
    c_int,
    c_size_t,
    c_uint32,
)
from .constants import CAPABILITIES as CAPABILITIES
from .core import WIDE, bind_syscall, fail, number
from .flags import capability_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# include/uapi/linux/capability.h: two words of 32 capabilities each.
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_MASK_32 = 0xFFFFFFFF


class CapHeader(Structure):
    """struct __user_cap_header_struct, include/uapi/linux/capability.h."""

    _fields_ = (("version", c_uint32), ("pid", c_int))


class CapData(Structure):
    """struct __user_cap_data_struct: the bits of 32 capabilities, in three sets."""

    _fields_ = (
        ("effective", c_uint32),
        ("permitted", c_uint32),
        ("inheritable", c_uint32),
    )


_NR_CAPGET = number("capget")
_NR_CAPSET = number("capset")
_capget = bind_syscall(POINTER(CapHeader), POINTER(CapData))
_capset = bind_syscall(POINTER(CapHeader), POINTER(CapData))


def capget(pid: int = 0) -> tuple[int, int, int]:
    """The (effective, permitted, inheritable) sets of a thread, 0 for this one, as masks.

    Bit n stands for the capability of number n (CAPABILITIES).

    Raises OSError with errno ESRCH: no such thread.
    Source: capget(2).
    """
    header, data = CapHeader(_LINUX_CAPABILITY_VERSION_3, pid), (CapData * 2)()
    if _capget(_NR_CAPGET, byref(header), data) == -1:
        fail(f"capget({{version=_LINUX_CAPABILITY_VERSION_3, pid={pid}}})")
    low, high = data
    return (
        low.effective | high.effective << 32,
        low.permitted | high.permitted << 32,
        low.inheritable | high.inheritable << 32,
    )


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set this thread's capability sets, masks as of capget.

    Bits that the kernel does not know are ignored.  What is no longer both
    permitted and inheritable leaves the ambient set as well.

    Raises OSError with errno EPERM
        permitted has what it had not; effective has what permitted has not; or
        inheritable has a new one that is neither permitted (CAP_SETPCAP: in the
        bounding set) nor was inheritable.

    Source: capset(2); capabilities(7), Programmatically adjusting capability sets.
    """
    header = CapHeader(_LINUX_CAPABILITY_VERSION_3, 0)
    data = (CapData * 2)(
        CapData(effective & _MASK_32, permitted & _MASK_32, inheritable & _MASK_32),
        CapData(effective >> 32, permitted >> 32, inheritable >> 32),
    )
    if _capset(_NR_CAPSET, byref(header), data) == -1:
        fail(
            f"capset({{version=_LINUX_CAPABILITY_VERSION_3, pid=0}}, "
            f"{{effective={capability_names(effective)}, "
            f"permitted={capability_names(permitted)}, "
            f"inheritable={capability_names(inheritable)}}})"
        )


def no_capabilities() -> tuple[bytes, bytes]:
    """What capset(2) takes, to have none: for who makes the call without Python."""
    header = CapHeader(_LINUX_CAPABILITY_VERSION_3, 0)
    return bytes(header), bytes((CapData * 2)())


# 32-bit machines have a first generation with ids of 16 bits.
_SUFFIX = "" if WIDE else "32"
_NR_SETRESUID = number("setresuid" + _SUFFIX)
_NR_SETRESGID = number("setresgid" + _SUFFIX)
_NR_SETGROUPS = number("setgroups" + _SUFFIX)
_setresuid = bind_syscall(c_uint32, c_uint32, c_uint32)
_setresgid = bind_syscall(c_uint32, c_uint32, c_uint32)
_setgroups = bind_syscall(c_size_t, POINTER(c_uint32))


def _id(value: int) -> int:
    """value as an id for C; -1 leaves an id as it is.

    ctypes would take any number modulo 2**32, so that 4294967296 were root.
    """
    if not -1 <= value <= _MASK_32:
        raise OverflowError(f"not a user or group id: {value}")
    return value & _MASK_32


def setresuid(real: int, effective: int, saved: int) -> None:
    """Set this thread's user ids; -1 leaves one as it is.

    The file system id follows the effective one.  When the last of the three
    stops being 0, the capabilities go (set_keepcaps in process.py, securebits).

    Raises OSError with errno
        EAGAIN  the kernel has no memory (before Linux 3.1 also RLIMIT_NPROC);
        EINVAL  an id that the user namespace does not map;
        EPERM   no CAP_SETUID, and the id is none of the present three.

    Raises OverflowError for what is no id.

    Source: setresuid(2).
    """
    if _setresuid(_NR_SETRESUID, _id(real), _id(effective), _id(saved)) == -1:
        fail(f"setresuid({real}, {effective}, {saved})")


def setresgid(real: int, effective: int, saved: int) -> None:
    """Set this thread's group ids; -1 leaves one as it is.

    Raises OSError with errno
        EINVAL  an id that the user namespace does not map;
        EPERM   no CAP_SETGID, and the id is none of the present three.

    Raises OverflowError for what is no id.

    Source: setresgid(2).
    """
    if _setresgid(_NR_SETRESGID, _id(real), _id(effective), _id(saved)) == -1:
        fail(f"setresgid({real}, {effective}, {saved})")


def setgroups(groups: Sequence[int]) -> None:
    """Set this thread's supplementary groups.

    Raises OSError with errno
        EINVAL  more than 65536, or an id that the user namespace does not map;
        EPERM   no CAP_SETGID, or /proc/PID/setgroups of the user namespace is
                "deny" or its gid_map has not been written yet.

    Raises OverflowError for what is no id.

    Source: setgroups(2); user_namespaces(7).
    """
    ids = (c_uint32 * len(groups))(*(_id(group) for group in groups))
    if _setgroups(_NR_SETGROUPS, len(groups), ids) == -1:
        fail(f"setgroups({len(groups)}, [{', '.join(str(group) for group in groups)}])")

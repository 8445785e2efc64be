"""Landlock: a process gives up rights for itself and for what it starts (landlock(7))."""

from __future__ import annotations

from .c import Structure, addressof, c_int, c_size_t, c_uint, c_uint64, c_void_p, sizeof
from .core import bind_syscall, fail, number
from .flags import names
from .landlock_constants import LANDLOCK_FS_NAMES, LANDLOCK_NET_NAMES, LANDLOCK_SCOPE_NAMES

# include/uapi/linux/landlock.h
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1
LANDLOCK_RULE_NET_PORT = 2  # Linux 6.7


class RulesetAttr(Structure):
    """struct landlock_ruleset_attr.  A kernel with a shorter one takes zeros behind it."""

    _fields_ = (
        ("handled_access_fs", c_uint64),
        ("handled_access_net", c_uint64),
        ("scoped", c_uint64),
    )


class PathBeneathAttr(Structure):
    """struct landlock_path_beneath_attr."""

    _pack_ = 1
    _layout_ = "ms"  # as ctypes has it for packed structures; Python 3.14 wants it said
    _fields_ = (
        ("allowed_access", c_uint64),
        ("parent_fd", c_int),
    )


class NetPortAttr(Structure):
    """struct landlock_net_port_attr."""

    _fields_ = (
        ("allowed_access", c_uint64),
        ("port", c_uint64),
    )


_NR_CREATE_RULESET = number("landlock_create_ruleset")
_create_ruleset = bind_syscall(c_void_p, c_size_t, c_uint)


def landlock_abi_version() -> int:
    """The version of the kernel's Landlock, from 1 on.

    Raises OSError with errno
        EOPNOTSUPP  it is not among the security modules that the kernel was started with;
        ENOSYS      a kernel without it, or before Linux 5.13.

    Source: landlock_create_ruleset(2), LANDLOCK_CREATE_RULESET_VERSION.
    """
    version: int = _create_ruleset(_NR_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
    if version == -1:
        fail("landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)", since="5.13")
    return version


def landlock_create_ruleset(fs: int = 0, net: int = 0, scoped: int = 0) -> int:
    """Return a descriptor of a new set of rules, the caller's and close-on-exec.

    fs, net: LANDLOCK_ACCESS_FS_* and _NET_*, what is forbidden but where a rule allows it.
    scoped: LANDLOCK_SCOPE_*, what does not reach processes outside.

    Raises OSError with errno
        E2BIG, EINVAL  a right that this kernel does not have;
        EOPNOTSUPP     it is not among the security modules that the kernel was started with;
        ENOMSG         nothing is forbidden;
        ENOSYS         a kernel without it, or before Linux 5.13.

    Source: landlock_create_ruleset(2).
    """
    attr = RulesetAttr(fs, net, scoped)
    fd: int = _create_ruleset(_NR_CREATE_RULESET, addressof(attr), sizeof(attr), 0)
    if fd == -1:
        text = (
            f"handled_access_fs={names(fs, LANDLOCK_FS_NAMES)}, "
            f"handled_access_net={names(net, LANDLOCK_NET_NAMES)}, "
            f"scoped={names(scoped, LANDLOCK_SCOPE_NAMES)}"
        )
        fail(f"landlock_create_ruleset({{{text}}})", since="5.13")
    return fd


_NR_ADD_RULE = number("landlock_add_rule")
_add_rule = bind_syscall(c_int, c_int, c_void_p, c_uint)


def landlock_add_path_beneath(ruleset: int, access: int, parent: int) -> None:
    """Allow access, LANDLOCK_ACCESS_FS_*, to the file parent, or below the directory.

    parent: a descriptor, as a rule with O_PATH; borrowed like ruleset.

    Raises OSError with errno
        EBADFD  parent is of a file system that is never mounted, of pipes for example;
        EINVAL  access is more than the ruleset forbids, or is for directories alone
                and parent is none;
        ENOMSG  access is 0.

    Source: landlock_add_rule(2), LANDLOCK_RULE_PATH_BENEATH.
    """
    attr = PathBeneathAttr(access, parent)
    if _add_rule(_NR_ADD_RULE, ruleset, LANDLOCK_RULE_PATH_BENEATH, addressof(attr), 0) == -1:
        text = f"{{allowed_access={names(access, LANDLOCK_FS_NAMES)}, parent_fd={parent}}}"
        fail(f"landlock_add_rule({ruleset}, LANDLOCK_RULE_PATH_BENEATH, {text})", since="5.13")


def landlock_add_net_port(ruleset: int, access: int, port: int) -> None:
    """Allow access, LANDLOCK_ACCESS_NET_*, to a TCP port; 0 is any that the kernel chooses.

    Raises OSError with errno
        EAFNOSUPPORT  a kernel without TCP;
        EINVAL        access is more than the ruleset forbids, or port is none;
        ENOMSG        access is 0.

    Source: landlock_add_rule(2), LANDLOCK_RULE_NET_PORT.
    """
    attr = NetPortAttr(access, port)
    if _add_rule(_NR_ADD_RULE, ruleset, LANDLOCK_RULE_NET_PORT, addressof(attr), 0) == -1:
        text = f"{{allowed_access={names(access, LANDLOCK_NET_NAMES)}, port={port}}}"
        fail(f"landlock_add_rule({ruleset}, LANDLOCK_RULE_NET_PORT, {text})", since="6.7")


_NR_RESTRICT_SELF = number("landlock_restrict_self")
_restrict_self = bind_syscall(c_int, c_uint)


def landlock_restrict_self(ruleset: int) -> None:
    """Put this thread, and what it clones and executes from now on, under the rules, for good.

    Raises OSError with errno
        E2BIG  it is under 16 sets of rules already;
        EPERM  neither no_new_privs nor CAP_SYS_ADMIN in its user namespace.

    Source: landlock_restrict_self(2).
    """
    if _restrict_self(_NR_RESTRICT_SELF, ruleset, 0) == -1:
        fail(f"landlock_restrict_self({ruleset}, 0)", since="5.13")

"""Landlock rules (landlock(7)): made and entered by who prepares a process, for good.

The kernel asks for no_new_privs, or for CAP_SYS_ADMIN.  So rules are made while
the process is root of the container, to find paths that its user could not; and
they are entered when the process is that user, but has its capabilities still.
All mounts have been made by then: nobody can who is under rules about files.
What is cloned later is under them, too, and a filter of system calls, which is
loaded later, need not allow Landlock's.

Rules need not allow what libct itself does after that, up to execve.
"""

from __future__ import annotations

from ..config.landlock import PLACE
from ..errors import Finding
from ..syscalls import landlock_constants as constants
from ..syscalls.flags import names
from ..syscalls.landlock_constants import (
    LANDLOCK_FS_NAMES,
    LANDLOCK_NET_NAMES,
    LANDLOCK_SCOPE_NAMES,
)
from .calls import quote
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.landlock import Landlock
    from ..security import landlock
else:
    landlock = Performers("security.landlock")

_REFER = constants.LANDLOCK_ACCESS_FS_REFER
_REFER_SINCE = 2  # before that it is always forbidden
_READ = constants.LANDLOCK_ACCESS_FS_READ_FILE | constants.LANDLOCK_ACCESS_FS_READ_DIR
_WRITE = (
    constants.LANDLOCK_ACCESS_FS_WRITE_FILE
    | constants.LANDLOCK_ACCESS_FS_REMOVE_DIR
    | constants.LANDLOCK_ACCESS_FS_REMOVE_FILE
    | constants.LANDLOCK_ACCESS_FS_MAKE_CHAR
    | constants.LANDLOCK_ACCESS_FS_MAKE_DIR
    | constants.LANDLOCK_ACCESS_FS_MAKE_REG
    | constants.LANDLOCK_ACCESS_FS_MAKE_SOCK
    | constants.LANDLOCK_ACCESS_FS_MAKE_FIFO
    | constants.LANDLOCK_ACCESS_FS_MAKE_BLOCK
    | constants.LANDLOCK_ACCESS_FS_MAKE_SYM
    | _REFER
    | constants.LANDLOCK_ACCESS_FS_TRUNCATE
    | constants.LANDLOCK_ACCESS_FS_IOCTL_DEV
)
# field: (the rights that it is about, what they are to a reader)
_FILES = {
    "read": (_READ, "reading"),
    "write": (_WRITE, "writing"),
    "execute": (constants.LANDLOCK_ACCESS_FS_EXECUTE, "executing"),
}
_PORTS = {
    "bind_tcp": (constants.LANDLOCK_ACCESS_NET_BIND_TCP, "binding to"),
    "connect_tcp": (constants.LANDLOCK_ACCESS_NET_CONNECT_TCP, "connecting to"),
}
_SCOPES = {
    "abstract_unix_socket": constants.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET,
    "signal": constants.LANDLOCK_SCOPE_SIGNAL,
}

# Rights that the first version lacks: (version, a kind: files, TCP, scopes; the rights).
_NEWER = (
    (_REFER_SINCE, 0, _REFER),
    (3, 0, constants.LANDLOCK_ACCESS_FS_TRUNCATE),
    (
        4,
        1,
        constants.LANDLOCK_ACCESS_NET_BIND_TCP | constants.LANDLOCK_ACCESS_NET_CONNECT_TCP,
    ),
    (5, 0, constants.LANDLOCK_ACCESS_FS_IOCTL_DEV),
    (
        6,
        2,
        constants.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | constants.LANDLOCK_SCOPE_SIGNAL,
    ),
)
# The version that has all of a field, and its kernel.
_NEEDED = {
    "read": (1, "5.13"),
    "write": (5, "6.10"),
    "execute": (1, "5.13"),
    "bind_tcp": (4, "6.7"),
    "connect_tcp": (4, "6.7"),
    "scope": (6, "6.12"),
}


def landlock_findings(landlock: Landlock, abi: int) -> list[Finding]:
    """What the kernel lacks of the rules: errors, or warnings where it is done without.

    abi: the version of the kernel's Landlock, 0 for none.
    """
    level = "warning" if landlock.best_effort else "error"
    if abi == 0:
        message = "this kernel has no Landlock, or was started without"
        return [Finding(PLACE, f"{message} (/sys/kernel/security/lsm)", level)]
    asked = {field: getattr(landlock, field) for field in _NEEDED}
    asked["scope"] = landlock.scope or None
    return [
        Finding(
            f"{PLACE}.{field}",
            f"needs version {version} of Landlock (Linux {since}); this kernel has {abi}",
            level,
        )
        for field, (version, since) in _NEEDED.items()
        if asked[field] is not None and abi < version
    ]


def rule_steps(landlock: Landlock, abi: int, known: dict[str, str] | None = None) -> list[Step]:
    """What makes the rules; nothing where the kernel has none, for best_effort.

    abi: as above.  What it lacks is left out for best_effort alone.
    known: device and inode of what the first process has found at the paths of rules, to
        refuse others; None for that one, which tells them.
    """
    fs, net, scoped = _restricted(landlock, abi)
    if not (fs or net or scoped):
        return []
    steps = [landlock_ruleset(fs, net, scoped, why=PLACE)]
    for field, (rights, what) in _FILES.items():
        if rights & fs:
            for index, path in enumerate(getattr(landlock, field) or ()):
                place = f"{PLACE}.{field}[{index}]"
                mark = None if known is None else known.get(path, "")
                steps.append(landlock_path(what, path, rights & fs, mark, why=place))
    if fs & _REFER and landlock.write is None:
        steps.append(landlock_path("renaming and linking below", "/", _REFER, "", why=PLACE))
    for field, (rights, what) in _PORTS.items():
        if rights & net:
            for index, port in enumerate(getattr(landlock, field)):
                place = f"{PLACE}.{field}[{index}]"
                steps.append(landlock_port(what, port, rights, why=place))
    return steps


def enter_steps(*, privileged: bool) -> list[Step]:
    """privileged: by CAP_SYS_ADMIN, for want of no_new_privs."""
    return [landlock_restrict(privileged, why=PLACE)]


def _restricted(landlock: Landlock, abi: int) -> list[int]:
    """The rights about files and TCP that are to be restricted, and the scopes."""
    found = [0, 0, 0]
    for kind, table in enumerate((_FILES, _PORTS)):
        for field, (rights, _) in table.items():
            if getattr(landlock, field) is not None:
                found[kind] |= rights
    # Under any rules about files the kernel forbids it where they do not allow it.
    if found[0] and landlock.write is None and abi >= _REFER_SINCE:
        found[0] |= _REFER
    for scope in landlock.scope:
        found[2] |= _SCOPES[scope]
    if landlock.best_effort:
        if abi == 0:
            return [0, 0, 0]
        for version, kind, rights in _NEWER:
            if abi < version:
                found[kind] &= ~rights
    return found


@operation(landlock.landlock_ruleset, "make a set of Landlock rules")
def landlock_ruleset(fs: int, net: int, scoped: int) -> list[str]:
    text = (
        f"handled_access_fs={names(fs, LANDLOCK_FS_NAMES)}, "
        f"handled_access_net={names(net, LANDLOCK_NET_NAMES)}, "
        f"scoped={names(scoped, LANDLOCK_SCOPE_NAMES)}"
    )
    return [f"landlock_create_ruleset({{{text}}})"]


@operation(landlock.landlock_path, "allow {0} {1}")
def landlock_path(what: str, path: str, access: int, known: str | None) -> list[str]:
    text = f"{{allowed_access={names(access, LANDLOCK_FS_NAMES)}}}"
    return [
        f"openat2({quote(path)}, O_PATH, RESOLVE_IN_ROOT)",
        f"landlock_add_rule(LANDLOCK_RULE_PATH_BENEATH, {text})",
    ]


@operation(landlock.landlock_port, "allow {0} TCP port {1}")
def landlock_port(what: str, port: int, access: int) -> list[str]:
    text = f"{{allowed_access={names(access, LANDLOCK_NET_NAMES)}, port={port}}}"
    return [f"landlock_add_rule(LANDLOCK_RULE_NET_PORT, {text})"]


@operation(landlock.landlock_restrict, "enter the Landlock rules")
def landlock_restrict(privileged: bool) -> list[str]:
    return [
        'openat("self/maps", O_RDONLY|O_CLOEXEC)',
        *(["capget()", "capset()"] if privileged else []),
        "landlock_restrict_self()",
    ]

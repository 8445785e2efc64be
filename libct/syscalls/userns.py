"""Whether root is root of the machine, or of a user namespace alone (user_namespaces(7))."""

from __future__ import annotations

import posix

_FIRST = 0xEFFFFFFD  # its inode number: PROC_USER_INIT_INO, include/linux/proc_ns.h


def in_user_namespace() -> bool:
    """Whether the rights of this process are those of a user namespace but the first.

    Its maps do not tell: another one may have all ids as they are.
    """
    try:
        return posix.stat("/proc/self/ns/user").st_ino != _FIRST
    except OSError:
        return False  # no procfs, or a kernel without user namespaces

"""Whether root is root of the machine, or of a user namespace alone (user_namespaces(7))."""

from __future__ import annotations


def in_user_namespace() -> bool:
    """Whether the rights of this process are those of a user namespace but the first."""
    try:
        with open("/proc/self/uid_map", "rb", buffering=0) as file:
            return file.read(64).split() != [b"0", b"0", b"4294967295"]
    except OSError:
        return False  # no procfs, or a kernel without user namespaces

"""System calls as text, in the manner of strace(1): what several operations share.

Only who prints a plan needs the names of flags, so they are imported on use.
"""

from __future__ import annotations

# How a call begins that is made only where what it is about is there.
IF_THERE = "if it is there: "


def quote(text: str) -> str:
    from ..syscalls import flags

    return flags.quote(text)


def clone_names(value: int) -> str:
    """CLONE_*"""
    from ..syscalls import flags

    return flags.names(value, flags.CLONE_NAMES)


def mount_names(value: int) -> str:
    """MS_*"""
    from ..syscalls import flags

    return flags.names(value, flags.MOUNT_NAMES)


def attribute_names(value: int) -> str:
    """MOUNT_ATTR_*"""
    from ..syscalls import flags

    return flags.names(value, flags.MOUNT_ATTR_NAMES)


def open_proc_call(path: str, access: str) -> str:
    """How open_proc_file() shows in a plan."""
    return f'openat2("{path}", {access}|O_CLOEXEC, RESOLVE_BENEATH|RESOLVE_NO_XDEV)'

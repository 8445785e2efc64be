"""Whether what has been restored is confined as it was: by AppArmor's profile, or SELinux' label.

A CRIU that is built without the one or the other writes nothing of it down, and what it
restores has its own, without a word.

Source: proc_pid_attr(5).
"""

from __future__ import annotations

import posix

from ..syscalls import procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FILES = {"apparmor": ("attr/apparmor/current", "attr/current"), "selinux": ("attr/current",)}
_WORDS = {"apparmor": "AppArmor profile", "selinux": "SELinux label"}


def lost(pid: int, wanted: Mapping[str, str]) -> str:
    """What a process does not have that it was to have, in words; "" where it has.

    wanted: "apparmor" or "selinux" -> the profile or label that it was started with.  It may have
        got another since, by rules of its own; but not that of this process.
    """
    for module, name in wanted.items():
        own, found = _current(posix.getpid(), module), _current(pid, module)
        if name and found in ("", own) and name != own:
            return f"the {_WORDS[module]} {name!r}"
    return ""


def _current(pid: int, module: str) -> str:
    for name in _FILES[module]:
        try:
            with open(procfs.path(pid, name), encoding="utf-8", errors="surrogateescape") as file:
                return file.read().rstrip("\0\n").partition(" (")[0]
        except OSError:
            continue
    return ""

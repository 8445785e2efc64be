"""AppArmor's profile and SELinux' labels of a process, by files of its own in /proc.

They decide about confinement, so they are reached by the verified /proc alone
(attributes/procfs.py; CVE-2019-16884, CVE-2023-28642, CVE-2025-52881).  A thread
may write its own only, and only with the credentials that it has opened them with.

Sources: proc_pid_attr(5); Documentation/security/apparmor.
"""

from __future__ import annotations

import errno
import posix

from ..attributes.procfs import open_proc_file, write_proc_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

_OWN = "thread-self/attr"


def set_exec_profile(context: Context, profile: str) -> None:
    """For the next execve(2), by AppArmor's own file, which does not depend on other modules."""
    proc = context.fds["proc"]
    try:
        posix.close(open_proc_file(proc, f"{_OWN}/apparmor", posix.O_PATH))
        path = f"{_OWN}/apparmor/exec"
    except FileNotFoundError:  # before Linux 5.8
        path = f"{_OWN}/exec"
    try:
        write_proc_file(proc, path, f"exec {profile}")
    except FileNotFoundError as error:
        hint = f"the profile {profile!r} is not loaded: see aa-status and apparmor_parser"
        error.hint = hint  # type: ignore[attr-defined]  # see bootstrap/performer.py
        raise


def set_exec_label(context: Context, label: str) -> None:
    """For the next execve(2)."""
    _set_label(context, "exec", label)


def set_key_label(context: Context, label: str) -> None:
    """Of keys and keyrings that this process makes from now on; "" for its own label."""
    _set_label(context, "keycreate", label)


def _set_label(context: Context, name: str, label: str) -> None:
    try:
        write_proc_file(context.fds["proc"], f"{_OWN}/{name}", label)
    except OSError as error:
        if error.errno == errno.EINVAL and label:
            hint = f"the policy that is loaded does not know the label {label!r}"
            error.hint = hint  # type: ignore[attr-defined]  # see bootstrap/performer.py
        raise

"""Who makes the control groups of a sandbox: only where limits are asked for is there any.

The caller's own part of the tree if he may write there, else systemd: for an ordinary user
that of his own, which makes a scope for it.
"""

from __future__ import annotations

import os

from ..config import Cgroup
from ..errors import CgroupError, ConfigError, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Resources
    from .options import Options

# The limit of setrlimit(2) that comes nearest to one of a control group.
_NEAREST = {
    "memory": "the resource limit AS",
    "pids": "the resource limit NPROC",
    "cpus": "one of CPU time",
}


def groups(options: Options, resources: Resources, *, ordinary: bool) -> Cgroup:
    """The control group with these limits.

    Raises ConfigError where there is nobody who could make it.
    """
    asked = [name for name in _NEAREST if getattr(options, name)]
    if options.cgroups == "disabled":
        what = "cannot be limited without a control group (cgroups is 'disabled')"
        raise ConfigError([Finding(name, what) for name in asked])
    made = Cgroup(rootless=ordinary, resources=resources)
    made.systemd = options.cgroups == "systemd"
    if options.cgroups or not ordinary:
        return made
    tried = _unwritable(made)
    if tried:
        made.systemd = True
        refused = _no_systemd(made)
        if refused:
            what = f"cannot be limited: {tried}; and {refused}"
            near = "the nearest limit without a control group is"
            raise ConfigError(Finding(name, f"{what} ({near} {_NEAREST[name]})") for name in asked)
    return made


def _unwritable(cgroup: Cgroup) -> str:
    """Why the caller can make no groups by himself; "" where he can."""
    from ..cgroups.choose import new
    from ..life.host import host

    layout = host().layout
    if layout.mode != "v2":
        return "with cgroup v1 an ordinary user has no control groups"
    manager = new(cgroup, "sandbox", layout)
    directory = os.path.dirname(manager.directories()[0])
    if os.access(directory, os.W_OK) and os.access(f"{directory}/cgroup.procs", os.W_OK):
        return ""
    return f"the control group {directory!r} is not this user's"


def _no_systemd(cgroup: Cgroup) -> str:
    """Why the user's systemd cannot do it; "" where it can."""
    from ..cgroups.layout import detect

    if not detect().systemd:
        return "systemd does not run"
    from ..cgroups.systemd.facts import gather

    try:
        gather(cgroup)
    except CgroupError as error:
        return str(error)
    return ""

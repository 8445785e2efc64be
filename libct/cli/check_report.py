"""What the facts of `libct check` mean: one line for each, with a remedy where one is known.

Pure: of values, to values.
"""

from __future__ import annotations

from ..config.namespace import PROC_NAMES, SPEC_NAMES
from ..config.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .check_host import HostFacts

OK, NOTE, WARNING, ERROR = "ok", "note", "warning", "error"


class Line(Record):
    """One thing that was looked at.

    state: "ok"; "note", for what is worth knowing; "warning", for what does not
        work and is not needed by every container; "error", for what keeps a
        container from starting.
    place: in the configuration, where it is about one.
    """

    section: str
    name: str
    state: str
    text: str
    remedy: str = ""
    place: str = ""


def is_fine(lines: Iterable[Line]) -> bool:
    return all(line.state != ERROR for line in lines)


# call: (what its want means, what libct does with it, what without it, since when)
_CALLS = {
    "clone3": (ERROR, "makes every process of a container", "", "Linux 5.3"),
    "CLONE_INTO_CGROUP": (
        WARNING,
        "clones processes into their v2 group",
        "they are moved there, which takes longer",
        "Linux 5.7",
    ),
    "openat2": (ERROR, "resolves paths inside a rootfs", "", "Linux 5.6"),
    "pidfd": (ERROR, "names processes safely", "", "Linux 5.3"),
    "memfd": (NOTE, "holds a copy of the interpreter where there is no overlay", "", ""),
    "fsopen": (WARNING, "makes mounts that are not attached yet", "", "Linux 5.2"),
    "mount_setattr": (WARNING, "does options like rro, for trees of mounts", "", "Linux 5.12"),
    "id-mapped mounts": (
        WARNING,
        "are what the options idmap and ridmap ask for",
        "not every file system has them, and / has not",
        "Linux 5.12",
    ),
    "overlay": (WARNING, "is what `sandbox --overlay` writes to", "", ""),
    "eBPF device program": (WARNING, "controls access to devices on cgroup v2", "", ""),
    "veth": (WARNING, "is what networks of type veth are made of", "load the module veth", ""),
    "network devices": (WARNING, "are moved in for linux.netDevices", "", ""),
    "Intel RDT": (
        NOTE,
        "is what linux.intelRdt asks for",
        "mount -t resctrl resctrl /sys/fs/resctrl, on a CPU that has it",
        "",
    ),
}
_HELPERS = ("pasta", "slirp4netns")  # in the order of preference
_ROOTS = ("id-mapped mounts", "eBPF device program", "veth", "network devices")
_SEALS = {
    "overlay": "a read-only overlay keeps containers from overwriting the interpreter",
    "memory": "a sealed copy in memory keeps containers from overwriting the interpreter",
    "file": "only root may write the interpreter, and containers of this user map no root",
}
# For want of one of these only some containers cannot start.
_SOME_NAMESPACES = ("cgroup", "time")


def host_lines(facts: HostFacts) -> list[Line]:
    """About the host alone, section by section."""
    return [
        *_kernel(facts),
        *_namespaces(facts),
        *_users(facts),
        *_cgroups(facts),
        *_security(facts),
        *_rest(facts),
    ]


def _kernel(facts: HostFacts) -> list[Line]:
    section = "kernel"
    text = f"Linux {facts.kernel} on {facts.machine}, Python {facts.python}"
    lines = [Line(section, "versions", OK, text)]
    for name, (trouble, text, instead, since) in _CALLS.items():
        problem, remedy = facts.calls.get(name, ("", ""))
        if not problem:
            lines.append(Line(section, name, OK, text))
            continue
        if facts.euid != 0 and name in _ROOTS:
            lines.append(Line(section, name, NOTE, f"{text}; for root only: {problem}"))
            continue
        remedy = "; ".join(filter(None, (instead, remedy or (since and f"it came with {since}"))))
        lines.append(Line(section, name, trouble, f"{text}: {problem}", remedy))
    if facts.seal in _SEALS:
        lines.append(Line(section, "sealed interpreter", OK, _SEALS[facts.seal]))
    else:
        lines.append(Line(section, "sealed interpreter", ERROR, f"cannot be made: {facts.seal}"))
    return lines


def _namespaces(facts: HostFacts) -> list[Line]:
    section = "namespaces"
    lines = []
    for kind, name in SPEC_NAMES.items():
        problem, remedy = facts.namespaces.get(name, ("", ""))
        limit = facts.sysctls.get(f"user.max_{PROC_NAMES[kind]}_namespaces", "")
        if not problem:
            text = f"can be made, {limit} by a user" if limit else "can be made"
            lines.append(Line(section, name, OK, text))
        elif name in _SOME_NAMESPACES or (name == "user" and facts.euid == 0):
            lines.append(Line(section, name, WARNING, f"cannot be made: {problem}", remedy))
        else:
            lines.append(Line(section, name, ERROR, f"cannot be made: {problem}", remedy))
    return lines


def _users(facts: HostFacts) -> list[Line]:
    section = "users"
    who = f"{facts.user or 'nameless'} ({facts.euid})"
    if facts.euid == 0:
        inside = ", of a user namespace" if facts.userns else ""
        lines = [Line(section, "user", OK, f"{who}{inside}")]
    else:
        text = f"{who}: containers get a user namespace where their configuration has none"
        lines = [Line(section, "user", OK, text)]
    if facts.sysctls.get("kernel.unprivileged_userns_clone") == "0":
        text = "user namespaces are for root only (kernel.unprivileged_userns_clone is 0)"
        state = OK if facts.euid == 0 else WARNING
        remedy = "" if facts.euid == 0 else "sysctl kernel.unprivileged_userns_clone=1"
        lines.append(Line(section, "user namespaces", state, text, remedy))
    if facts.sysctls.get("kernel.apparmor_restrict_unprivileged_userns") == "1":
        text = "AppArmor restricts user namespaces of ordinary users"
        state = OK if facts.euid == 0 else WARNING
        remedy = "" if facts.euid == 0 else "give the interpreter a profile with userns"
        lines.append(Line(section, "AppArmor", state, text, remedy))
    for name, ranges, file in (
        ("subordinate uids", facts.subuids, "/etc/subuid"),
        ("subordinate gids", facts.subgids, "/etc/subgid"),
    ):
        if ranges:
            text = ", ".join(f"{count} from {first}" for first, count in ranges)
            lines.append(Line(section, name, OK, text))
        elif facts.euid != 0:
            text = f"none in {file}: a container can map this user's own id alone"
            remedy = (
                f"usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST {facts.user}, as"
                f" root, with ids that no other line of {file} has"
            )
            lines.append(Line(section, name, WARNING, text, remedy))
    if facts.euid != 0:
        for name in ("newuidmap", "newgidmap"):
            path = facts.programs.get(name, "")
            if path:
                lines.append(Line(section, name, OK, path))
            else:
                text = "not installed: a container can map this user's own id alone"
                remedy = "install the package uidmap (shadow-utils)"
                lines.append(Line(section, name, WARNING, text, remedy))
    return lines


def _cgroups(facts: HostFacts) -> list[Line]:
    section = "control groups"
    if facts.cgroup_mode == "none":
        text = "none are mounted: containers have no limits, and cannot be paused"
        return [Line(section, "layout", WARNING, text, "mount cgroup2 on /sys/fs/cgroup")]
    systemd = ", systemd is process 1" if facts.systemd else ""
    lines = [Line(section, "layout", OK, f"{facts.cgroup_mode}{systemd}")]
    if facts.cgroup_controllers:
        text = " ".join(facts.cgroup_controllers)
        lines.append(Line(section, "controllers", OK, text))
    else:
        lines.append(Line(section, "controllers", WARNING, "none: no limits can be set"))
    missing = sorted({"cpu", "cpuset", "memory", "pids"} - set(facts.cgroup_controllers))
    if missing and facts.cgroup_controllers:
        text = f"missing: {' '.join(missing)}: limits of these are refused"
        lines.append(Line(section, "controllers", WARNING, text))
    by_outcome: dict[tuple[str, str], list[str]] = {}
    for directory, outcome in facts.cgroup_outcomes.items():
        by_outcome.setdefault(outcome, []).append(directory)
    for (problem, remedy), directories in by_outcome.items():
        where = " ".join(sorted(directories))
        if not problem:
            lines.append(Line(section, "groups", OK, f"can be made in {where}"))
        else:
            # Without privilege, and without limits, a container goes without.
            state = WARNING if facts.euid != 0 or facts.userns else ERROR
            text = f"cannot be made in {where}: {problem}"
            lines.append(Line(section, "groups", state, text, remedy))
    if facts.reloaded_unit:
        lines.append(Line(section, "groups", WARNING, *reload_trouble(facts.reloaded_unit)))
    if facts.cgroup_mode != "v1" and not facts.cgroup_kill:
        text = "not there: processes are frozen and killed one by one (it came with Linux 5.14)"
        lines.append(Line(section, "cgroup.kill", NOTE, text))
    return lines


def reload_trouble(unit: str) -> tuple[str, str]:
    """What happens to a group below a unit of systemd that is not delegated; and a remedy."""
    text = (
        f"below {unit}, which is not delegated: a reload of systemd's units (daemon-reload)"
        " takes away the limits of cpu, cpuset and io there"
    )
    remedy = (
        "use --systemd-cgroup, or start libct in a unit of its own:"
        " systemd-run --scope -p Delegate=yes libct ..."
    )
    return text, remedy


def _security(facts: HostFacts) -> list[Line]:
    section = "security"
    text = ", ".join(facts.lsms) if facts.lsms else "none that can be seen"
    lines = [Line(section, "modules", OK, text)]
    actions = facts.sysctls.get("kernel.seccomp.actions_avail", "")
    if actions:
        lines.append(Line(section, "seccomp actions", OK, actions))
    else:
        text = "none: this kernel has no seccomp filters, or /proc/sys is hidden"
        lines.append(Line(section, "seccomp actions", WARNING, text))
    if facts.landlock_abi == 0:
        text = "none: the annotation org.libct.landlock is refused but for best_effort"
        remedy = "Linux 5.13 has it, started with landlock among its security modules (lsm=)"
        lines.append(Line(section, "Landlock", NOTE, text, remedy))
    else:
        lines.append(Line(section, "Landlock", OK, f"version {facts.landlock_abi}"))
    return lines


def _rest(facts: HostFacts) -> list[Line]:
    section = "files and programs"
    if facts.state_problem:
        text = f"cannot be kept: {facts.state_problem}"
        lines = [Line(section, "states", ERROR, text, "choose another place with --root")]
    else:
        lines = [Line(section, "states", OK, f"are kept in {facts.state_root}")]
    criu = facts.programs.get("criu", "")
    if not criu:
        text = "not installed: no checkpoint and no restore"
        lines.append(Line(section, "criu", NOTE, text, "install CRIU (the package criu)"))
    elif facts.criu_problem:
        text = f"{criu}: no checkpoint and no restore: {facts.criu_problem}"
        lines.append(Line(section, "criu", NOTE, text))
    else:
        lines.append(Line(section, "criu", OK, f"{criu}, {facts.criu}"))
    helpers = [facts.programs[name] for name in _HELPERS if facts.programs.get(name)]
    if helpers and not facts.tun:
        text = f"{helpers[0]} cannot open /dev/net/tun: no --net pasta for ordinary users"
        remedy = "as root: modprobe tun; chmod 666 /dev/net/tun"
        lines.append(Line(section, "pasta", NOTE, text, remedy))
    elif helpers:
        lines.append(Line(section, "pasta", OK, ", ".join(helpers)))
    else:
        text = "neither pasta nor slirp4netns is installed: no --net pasta for ordinary users"
        remedy = "install the package passt, or slirp4netns"
        lines.append(Line(section, "pasta", NOTE, text, remedy))
    return lines

"""`libct check -b`: what is wrong with a bundle on this host, before anything is tried.

look() gathers the facts: what the reader and the rules for configurations find,
and what is there of all that the configuration names.  bundle_lines() is the
report, a function of these facts and the host's.
"""

from __future__ import annotations

import os

from ..cgroups import choose
from ..config.facts import facts_of_host
from ..config.mount_flags import MS_BIND
from ..config.namespace import SPEC_NAMES
from ..config.record import Record
from ..config.validate import validate, validate_process
from ..errors import ConfigError, Error, Finding
from ..life.host import host, landlock_abi, own_capabilities
from ..life.unsupported import refuse_unsupported
from ..oci.bundle import from_bundle, read_spec
from ..oci.names import HOOKS
from ..oci.partial import certain, is_inside
from ..oci.unknown_keys import unknown_keys
from ..plan.capabilities import capability_findings
from ..plan.container import plan_start
from .check_command import find_command
from .check_host import unit_above
from .check_report import ERROR, NOTE, OK, WARNING, Line, reload_trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..cgroups.manager import Manager
    from ..config import Config, Hooks, IDMap
    from ..life.process import Process
    from .check_host import HostFacts

_SECTION = "bundle"
_ID = "check"


class BundleFacts(Record):
    """What was found.

    path: of the bundle.
    findings: (place, level, message) of the reader and the rules.
    sources: index of a bind mount -> why its source cannot be had, or "".
    joined: index of a namespace with a path -> why it cannot be joined, or "".
    command: why the command cannot be executed, or "".
    command_place: which mount may bring it, where the rootfs does not; or "".
    hooks: place of a hook of the host's -> (its path, why it cannot be executed).
    filesystems: types that this kernel knows now.
    cgroups: (directory, what is wrong with it or "", may the container go without).
    reloaded_unit: of systemd, that the group at cgroupsPath is below, and is not delegated.
    unread: places of fields that could not be read; what is said of them is about defaults.
    steps: of the plan, 0 where there is none.
    """

    path: str = "."
    findings: list[tuple[str, str, str]] = []
    sources: dict[int, str] = {}
    joined: dict[int, str] = {}
    command: str = ""
    command_place: str = ""
    hooks: dict[str, tuple[str, str]] = {}
    filesystems: list[str] = []
    cgroups: list[tuple[str, str, bool]] = []
    reloaded_unit: str = ""
    unread: list[str] = []
    steps: int = 0


def look(
    path: str,
    *,
    systemd: bool = False,
    control_groups: bool = True,
    rootless_cgroups: bool | None = None,
) -> tuple[BundleFacts, Config | None, Process | None]:
    """Read a bundle and look at what it names; nothing is made."""
    facts = BundleFacts(os.path.abspath(path))
    try:
        read: list[Finding] = []
        config, process = from_bundle(
            path,
            _ID,
            systemd=systemd,
            control_groups=control_groups,
            rootless_cgroups=rootless_cgroups,
            findings=read,
        )
    except ConfigError as error:
        facts.findings = _values(error.findings)
        return facts, None, None
    findings = validate(config, facts_of_host())
    if process is None:
        findings.append(Finding("process", "missing: it says what to run"))
    else:
        findings += validate_process(process, config)
    findings += capability_findings(config, process, own_capabilities)
    if config.landlock is not None:
        from ..plan.landlock import landlock_findings

        findings += landlock_findings(config.landlock, landlock_abi())
    try:
        refuse_unsupported(config, process)
    except ConfigError as error:
        findings += error.findings
    manager = _manager(config, findings)
    findings = read + certain(findings, read) + unknown_keys(read_spec(path))
    facts.findings = _values(findings)
    facts.unread = [finding.place for finding in read if finding.level == "error"]
    facts.filesystems = _filesystems()
    for index, mount in enumerate(config.mounts):
        if mount.flags & MS_BIND:
            facts.sources[index] = _why_not(mount.source)
    for index, namespace in enumerate(config.namespaces):
        if namespace.path:
            facts.joined[index] = _why_not(namespace.path)
    if config.hooks is not None:
        facts.hooks = dict(_look_at_hooks(config.hooks))
    if manager is not None:
        facts.cgroups = list(_look_at_groups(manager))
        if manager.cgroup.path:  # and else it is where check_host.py has looked
            facts.reloaded_unit = unit_above(manager, host().layout)
    if process is not None and process.args and os.path.isdir(config.rootfs):
        facts.command, facts.command_place = find_command(config, process)
    if process is not None and all(finding.level != ERROR for finding in findings):
        try:
            facts.steps = len(plan_start(config, process, host(), manager, _ID))
        except Error as error:
            facts.findings.append(("", ERROR, str(error)))
    return facts, config, process


def _values(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.place, finding.level, finding.message) for finding in findings]


def _manager(config: Config, findings: list[Finding]) -> Manager | None:
    """The manager of the container's groups, if there are to be any; its problems are findings."""
    if config.cgroups is None:
        return None
    known = {(finding.place, finding.message) for finding in findings}
    places = {finding.place for finding in findings}
    facts = host()
    try:
        systemd = facts.systemd(config.cgroups)
    except Error as error:
        findings.append(Finding("linux.cgroupsPath", str(error)))
        return None
    manager = choose.new(config.cgroups, _ID, facts.layout, systemd)
    problems = manager.problems()
    for place, message in problems:
        if (place, message) not in known and place not in places:
            findings.append(Finding(place, message))
    return None if problems else manager


def _look_at_groups(manager: Manager) -> Iterator[tuple[str, str, bool]]:
    for controller, directory in manager.paths().items():
        optional = not manager._is_required(controller)
        above = os.path.dirname(directory)
        while not os.path.isdir(above) and above != "/":
            above = os.path.dirname(above)
        if os.path.isdir(directory):
            used = manager.all_pids()
            busy = f"processes run in it: {' '.join(map(str, used[:5]))}" if used else ""
            yield directory, busy, optional
        elif not os.access(above, os.W_OK | os.X_OK):
            yield directory, f"this user may make no group in {above}", optional
        else:
            yield directory, "", optional


def _filesystems() -> list[str]:
    try:
        with open("/proc/filesystems", encoding="ascii", errors="replace") as file:
            return [line.split()[-1] for line in file if line.split()]
    except OSError:
        return []


def _why_not(path: str) -> str:
    """Why there is nothing to be had at a path of the host's, or ""."""
    try:
        os.stat(path)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


def _look_at_hooks(hooks: Hooks) -> Iterator[tuple[str, tuple[str, str]]]:
    for kind, field in HOOKS.items():
        if kind == "startContainer":
            continue  # looked for in the container, where a mount may bring it
        for index, hook in enumerate(getattr(hooks, field)):
            problem = _why_not(hook.path)
            if not problem and not (os.path.isfile(hook.path) and os.access(hook.path, os.X_OK)):
                problem = "it is no file that may be executed"
            if problem:
                yield f"hooks.{kind}[{index}].path", (hook.path, problem)


# --- the report ---------------------------------------------------------------


def bundle_lines(
    found: BundleFacts, config: Config | None, process: Process | None, machine: HostFacts
) -> list[Line]:
    """About the bundle; machine: where it is to run."""
    lines = [_of_finding(*finding) for finding in found.findings]
    if config is not None:
        lines += (line for line in _looked_at(found, config, machine) if _was_read(found, line))
    if process is not None and process.terminal:
        text = "the process has a terminal: `create` and `run --detach` need --console-socket"
        lines.append(Line(_SECTION, "terminal", NOTE, text, place="process.terminal"))
    if all(line.state != ERROR for line in lines):
        text = f"nothing speaks against a start, which would take {found.steps} steps"
        lines.append(Line(_SECTION, found.path, OK, text, "`libct plan` shows them"))
    return lines


def _looked_at(found: BundleFacts, config: Config, machine: HostFacts) -> Iterator[Line]:
    yield from _namespace_lines(found, config, machine)
    yield from _mount_lines(found, config, machine)
    yield from id_map_lines(config, machine)
    yield from _cgroup_lines(found)
    yield from _hook_lines(found)
    if found.command:
        yield _command_line(found)


def _was_read(found: BundleFacts, line: Line) -> bool:
    return not any(is_inside(line.place, place) for place in found.unread)


def _of_finding(place: str, level: str, message: str) -> Line:
    remedy = ""
    if "--systemd-cgroup" in message:
        remedy = "leave the option out: the groups are made without systemd then"
    elif "not supported yet" in message:
        remedy = "take it out of the configuration: this version of libct cannot do it"
    return _line(place, ERROR if level == "error" else WARNING, message, remedy)


def _line(place: str, state: str, text: str, remedy: str = "") -> Line:
    return Line(_SECTION, place or "config.json", state, text, remedy, place)


def _namespace_lines(found: BundleFacts, config: Config, machine: HostFacts) -> Iterator[Line]:
    for index, namespace in enumerate(config.namespaces):
        place = f"linux.namespaces[{index}]"
        if index in found.joined:
            if found.joined[index]:
                text = f"cannot be joined: {found.joined[index]}: {namespace.path!r}"
                remedy = "the process that it was of may have ended: take it from one that lives"
                yield _line(f"{place}.path", ERROR, text, remedy)
            continue
        name = SPEC_NAMES.get(namespace.type, "")
        problem, remedy = machine.namespaces.get(name, ("", ""))
        if problem:
            yield _line(place, ERROR, f"{name} namespaces cannot be made: {problem}", remedy)


def _mount_lines(found: BundleFacts, config: Config, machine: HostFacts) -> Iterator[Line]:
    for index, mount in enumerate(config.mounts):
        place = f"mounts[{index}]"
        if found.sources.get(index):
            text = f"nothing to mount on {mount.destination}: {found.sources[index]}"
            remedy = "make it, or take the mount out"
            yield _line(f"{place}.source", ERROR, f"{text}: {mount.source!r}", remedy)
        elif index not in found.sources and mount.device not in ("cgroup", *found.filesystems):
            text = f"this kernel does not know {mount.device!r} now, unless as a module"
            yield _line(f"{place}.type", WARNING, text, "see /proc/filesystems")
        for wanted, call in (
            (mount.id_mapping, "id-mapped mounts"),
            (mount.rec_attr, "mount_setattr"),
        ):
            problem, remedy = machine.calls.get(call, ("", ""))
            if wanted is not None and problem:
                yield _line(f"{place}.options", ERROR, f"{call}: {problem}", remedy)


def id_map_lines(config: Config, machine: HostFacts) -> Iterator[Line]:
    """Whether this user may map the ids of the container's user namespace (user_namespaces(7))."""
    if machine.euid == 0 or not config.uid_mappings:
        return
    for field, mappings, ranges, program, file in (
        ("uidMappings", config.uid_mappings, machine.subuids, "newuidmap", "/etc/subuid"),
        ("gidMappings", config.gid_mappings, machine.subgids, "newgidmap", "/etc/subgid"),
    ):
        place = f"linux.{field}"
        if len(mappings) == 1 and mappings[0].size == 1:
            continue  # his own, which needs no help; or refused by the program in its own words
        if not machine.programs.get(program):
            remedy = "install the package uidmap (shadow-utils)"
            text = f"more than one id: {program} is not installed"
            yield _line(place, ERROR, text, remedy)
        for index, mapping in enumerate(mappings):
            own = mapping.size == 1 and mapping.host_id == machine.euid
            if not own and not _is_covered(mapping, ranges):
                last = mapping.host_id + mapping.size - 1
                who = machine.user or machine.euid
                text = f"{file} gives {who} no ids {mapping.host_id} to {last}"
                had = ", ".join(f"{first} to {first + count - 1}" for first, count in ranges)
                remedy = f"map ids of his: {had}" if had else f"give him some in {file}"
                yield _line(f"{place}[{index}]", ERROR, text, remedy)


def _is_covered(mapping: IDMap, ranges: Sequence[tuple[int, int]]) -> bool:
    end = mapping.host_id + mapping.size
    return any(first <= mapping.host_id and end <= first + count for first, count in ranges)


def _cgroup_lines(found: BundleFacts) -> Iterator[Line]:
    place = "linux.cgroupsPath"
    seen = set()
    for directory, problem, optional in found.cgroups:
        if not problem or (directory, problem) in seen:
            continue
        seen.add((directory, problem))
        if optional:
            yield _line(place, NOTE, f"the container goes without {directory}: {problem}")
        else:
            remedy = (
                "choose another path, or end them"
                if "run in it" in problem
                else "run as root, or have the group delegated to this user"
            )
            yield _line(place, ERROR, f"{directory}: {problem}", remedy)
    if found.reloaded_unit:
        yield _line(place, WARNING, *reload_trouble(found.reloaded_unit))


def _hook_lines(found: BundleFacts) -> Iterator[Line]:
    for place, (path, problem) in found.hooks.items():
        # Of these hooks a failure is no more than a warning.
        state = WARNING if place.startswith("hooks.poststop") else ERROR
        yield _line(place, state, f"{problem}: {path!r}", "correct its path, or take the hook out")


def _command_line(found: BundleFacts) -> Line:
    if found.command_place:
        text = f"{found.command}: not in the rootfs, unless {found.command_place} brings it"
        return _line("process.args[0]", WARNING, text)
    remedy = "look at process.args, at PATH in process.env, and whether root.path is the right one"
    return _line("process.args[0]", ERROR, found.command, remedy)

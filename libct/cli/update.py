"""libct update: other limits for a container that lives.

The options and the file of --resources are two ways to write one thing, the
"resources" of a config.json, so they are read by one reader and judged by the
rules for that.  Nothing is changed unless all of it can be.
"""

from __future__ import annotations

from ..cgroups.limits.v2 import settings
from ..config.facts import facts_of_host
from ..config.rules_cgroup import cgroup_rules
from ..config.sizes import parse_size
from ..errors import ConfigError, Error, Finding
from ..life.container import load
from ..loading.jsontext import loads
from ..loading.paths import contents
from ..oci.load_resources import read_resources
from ..oci.reader import Table, show
from .log import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..config import IntelRdt
    from ..config.cgroup import Cgroup, Resources
    from .options import Arguments

_LARGEST = 1 << 20  # bytes of a file of limits
_PREFIX = "linux.resources."

# option: (where that is in "resources", the kind of its value)
_OPTIONS = {
    "--blkio-weight": ("blockIO.weight", "number"),
    "--cpu-period": ("cpu.period", "number"),
    "--cpu-quota": ("cpu.quota", "number"),
    "--cpu-burst": ("cpu.burst", "number"),
    "--cpu-share": ("cpu.shares", "number"),
    "--cpu-rt-period": ("cpu.realtimePeriod", "number"),
    "--cpu-rt-runtime": ("cpu.realtimeRuntime", "number"),
    "--cpu-idle": ("cpu.idle", "number"),
    "--cpuset-cpus": ("cpu.cpus", "text"),
    "--cpuset-mems": ("cpu.mems", "text"),
    "--memory": ("memory.limit", "size"),
    "--memory-reservation": ("memory.reservation", "size"),
    "--memory-swap": ("memory.swap", "size"),
    "--memory-swappiness": ("memory.swappiness", "number"),
    "--pids-limit": ("pids.limit", "number"),
}
# These are not in "resources", or not in one place.
_OTHERS = ("--unified", "--memory-oom-group")
# option: (the field of IntelRdt, its place in the configuration)
_RDT = {
    "--l3-cache-schema": ("l3_cache_schema", "linux.intelRdt.l3CacheSchema"),
    "--mem-bw-schema": ("mem_bw_schema", "linux.intelRdt.memBwSchema"),
}
_KERNEL_MEMORY = ("--kernel-memory", "--kernel-memory-tcp")


def main(arguments: Arguments) -> int:
    container = load(arguments.root, arguments.operands[0])
    given = [name for name in (*_OPTIONS, *_OTHERS) if _value(arguments, name)]
    findings: list[Finding] = []
    names: dict[str, str] = {}
    if arguments.resources:
        if given:
            raise Error(f"either --resources or single limits, not both: {given[0]}")
        values = _from_file(arguments.resources)
    else:
        values = _from_options(arguments, given, findings)
        names = {place: name for name, (place, _) in _OPTIONS.items()}
        names["memory_oom_group"] = "--memory-oom-group"
    asked = read_resources(Table(values, "", findings))
    if arguments.memory_oom_group:
        asked.memory_oom_group = _boolean(arguments.memory_oom_group, findings)
    config = container.config.copy()
    if config.cgroups is None:
        what = f"cannot update container {container.id!r}"
        raise Error(f"{what}: it has no control group (its configuration has no cgroups)")
    if all(finding.level != "error" for finding in findings):
        config.cgroups.resources = updated(config.cgroups.resources, asked)
        findings += problems(asked, config.cgroups)
    errors = [_renamed(finding, names) for finding in findings if finding.level == "error"]
    if errors:
        raise ConfigError(errors)
    report(arguments, "warning", *(str(_renamed(finding, names)) for finding in findings))
    schemata = {name: _value(arguments, name) for name in _RDT if _value(arguments, name)}
    if schemata:
        config.intel_rdt = _classed(config.intel_rdt, schemata)
    if any(_value(arguments, name) for name in _KERNEL_MEMORY):
        report(arguments, "warning", "limits of kernel memory are ignored: the kernel has none")
    try:
        container.set(config)
    except ConfigError as error:
        places = {place: name for name, (_, place) in _RDT.items()}
        raise ConfigError([_renamed(one, places) for one in error.findings]) from error
    changed = {**asked.to_dict(), **{_RDT[name][0]: text for name, text in schemata.items()}}
    report(arguments, "debug", *(f"set {name} to {value!r}" for name, value in changed.items()))
    return 0


def updated(before: Resources, asked: Resources) -> Resources:
    """The limits that there were, with those that are asked for in their place.

    Rules of access to devices stay as they are, unless others are asked for: these take the
    place of all.
    """
    after = before.copy(skip_devices=not asked.devices)
    for name, default in type(asked)._fields.items():
        value = getattr(asked, name)
        if value != default and name != "unified":
            setattr(after, name, value)
    _make_way(after, asked)
    after.unified.update(asked.unified)
    if asked.memory == -1 and not asked.memory_swap:
        after.memory_swap = -1  # or the sum of both would still limit the memory
    if asked.cpu_shares:
        after.cpu_weight = 0  # it would win
    return after


def _make_way(after: Resources, asked: Resources) -> None:
    """Drop what unified said before of the files that are asked for: it would win."""
    files = {file for one in settings(asked.copy(unified={})) for file, _, _ in one.writes}
    if asked.memory_swap:
        files.add("memory.swap.max")  # what is written there takes a limit of memory, too
    for file in files.intersection(after.unified):
        text = after.unified.pop(file)
        if file == "cpu.max":  # two limits, of which one may be asked for
            quota, _, period = text.strip().partition(" ")
            if not asked.cpu_quota and quota.isdecimal():
                after.cpu_quota = int(quota)
            if not asked.cpu_period and period.strip().isdecimal():
                after.cpu_period = int(period)


def _classed(before: IntelRdt | None, schemata: dict[str, str]) -> IntelRdt:
    """With these schemata, by option; lines that there were of the same resource go."""
    from ..config import IntelRdt

    after = before.copy() if before is not None else IntelRdt()
    for name, text in schemata.items():
        resource = text.partition(":")[0].strip()
        after.schemata = [
            line for line in after.schemata if line.partition(":")[0].strip() != resource
        ]
        setattr(after, _RDT[name][0], text)
    return after


def problems(asked: Resources, cgroup: Cgroup) -> list[Finding]:
    """What keeps the limits of cgroup from being set, and what is asked for in vain."""
    facts = facts_of_host()
    wrong: list[Finding] = []
    ignored: list[Finding] = []
    cgroup_rules(cgroup, facts, wrong)
    cgroup_rules(type(cgroup)(resources=asked), facts, ignored)
    if asked.memory_oom_group is not None and not facts.cgroup_v2:
        message = "ignored: cgroup v1 has no such limit"
        ignored.append(Finding("memory_oom_group", message, "warning"))
    whole = asked.memory_oom_group is not None or "memory.oom.group" in asked.unified
    if whole and facts.cgroup_v2 and cgroup.systemd:
        message = "systemd sets it anew when it reloads, as it was when the container was made"
        ignored.append(Finding("memory_oom_group", message, "warning"))
    return [finding for finding in wrong if finding.level == "error"] + [
        finding for finding in ignored if finding.level != "error"
    ]


def _value(arguments: Arguments, name: str) -> str:
    value: str = getattr(arguments, name[2:].replace("-", "_"))
    return value


def _boolean(text: str, findings: list[Finding]) -> bool:
    if text not in ("0", "1"):
        findings.append(Finding("--memory-oom-group", f"not 0 or 1: {text!r}"))
    return text == "1"


def _from_options(arguments: Arguments, given: list[str], findings: list[Finding]) -> Any:
    values: dict[str, Any] = {}
    for text in arguments.unified:
        file, equals, value = text.partition("=")
        if not equals:
            findings.append(Finding("--unified", f"not like memory.high=1000000: {text!r}"))
        values.setdefault("unified", {})[file] = value
    for name in given:
        if name in _OTHERS:
            continue
        place, kind = _OPTIONS[name]
        text = _value(arguments, name)
        limit: int | str = text
        try:
            if kind == "size":
                limit = -1 if text == "-1" else parse_size(text)
            elif kind == "number":
                if not (text.isascii() and text.removeprefix("-").isdigit()):
                    raise ValueError(f"not a whole number: {text!r}")
                limit = int(text)
        except ValueError as error:
            findings.append(Finding(name, str(error)))
            continue
        group, _, key = place.partition(".")
        values.setdefault(group, {})[key] = limit
    return values


def _from_file(path: str) -> Any:
    values = read_json(path, "limits")
    if not isinstance(values, dict):
        raise ConfigError([Finding(path, f"not an object: {show(values)}")])
    return values


def read_json(path: str, what: str) -> Any:
    """The value in a file; "-" is standard input.  what: is in there, for errors."""
    try:
        if path == "-":
            path = "standard input"
            # Not sys.stdin, which is None where the caller has closed it.
            with open(0, "rb", closefd=False) as file:
                text = file.read(_LARGEST + 1)
        else:
            text = contents(path, _LARGEST + 1)
    except OSError as error:
        raise Error(f"cannot read the {what} from {path!r}: {error.strerror}") from error
    if len(text) > _LARGEST:
        raise Error(f"the file of {what} {path!r} is larger than {_LARGEST >> 20} MiB")
    return loads(text, path)


def _renamed(finding: Finding, names: dict[str, str]) -> Finding:
    """With its place as the user wrote it: an option, or below the top of the file."""
    place = finding.place
    if place.startswith(_PREFIX):
        place = place[len(_PREFIX) :]
    return Finding(names.get(place, place), finding.message)

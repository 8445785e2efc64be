"""The "process" of a configuration (config.md, Process), for a Config and for a Process."""

from __future__ import annotations

from ..config.attributes import (
    Capabilities,
    CPUAffinity,
    IOPriority,
    Rlimit,
    Scheduler,
)
from ..errors import ConfigError, Finding
from ..syscalls.constants import RLIMITS
from .reader import INT32, UINT16, UINT32, UINT64, Table, settle, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def process_arguments(
    process: dict[str, Any], place: str = "process", warnings: list[Finding] | None = None
) -> dict[str, Any]:
    """Keyword arguments of a Process that is executed in a container.

    process: an object as under "process" in config.json.
    Raises ConfigError with all findings, their places starting with place.
    """
    findings: list[Finding] = []
    if not isinstance(process, dict):
        raise ConfigError([Finding(place, f"not an object: {show(process)}")])
    table = Table(process, place, findings)
    arguments = first_process_arguments(table)
    attributes = process_attributes(table)
    for name in (
        "capabilities",
        "rlimits",
        "scheduler",
        "io_priority",
        "umask",
    ):
        if name in attributes:
            arguments[name] = attributes[name]
    # A process that does not say so has it off, whatever the container's first has.
    arguments["no_new_privileges"] = attributes.get("no_new_privileges", False)
    for name, field in (
        ("apparmor_profile", "apparmor_profile"),
        ("label", "process_label"),
        ("cpu_affinity", "exec_cpu_affinity"),
    ):
        if field in attributes:
            arguments[name] = attributes[field]
    settle(findings, warnings)
    return arguments


def first_process_arguments(process: Table) -> dict[str, Any]:
    """What of a process no Config has: what is executed, where, as whom, on what terminal."""
    process.require("args", "cwd")
    arguments: dict[str, Any] = {
        "args": process.strings("args"),
        "env": process.strings("env"),
        "cwd": process.string("cwd"),
        "terminal": process.boolean("terminal"),
    }
    user = process.table("user")
    if user is not None:
        uid, gid = user.number("uid", UINT32), user.number("gid", UINT32)
        arguments["user"] = f"{uid}:{gid}"
        arguments["additional_groups"] = user.numbers("additionalGids", UINT32)
    else:
        arguments["user"] = "0:0"
    size = process.table("consoleSize")
    if size is not None and size.require("height", "width"):
        arguments["console_height"] = size.number("height", UINT16)
        arguments["console_width"] = size.number("width", UINT16)
    return arguments


def process_attributes(process: Table) -> dict[str, Any]:
    """The fields of a Config that come from its process; absent ones are left out."""
    found: dict[str, Any] = {}
    capabilities = process.table("capabilities")
    if capabilities is not None:
        found["capabilities"] = Capabilities(
            **{name: capabilities.strings(name) for name in Capabilities.__annotations__}
        )
    if process.has("rlimits"):
        found["rlimits"] = [
            limit for table in process.tables("rlimits") for limit in _rlimit(table)
        ]
    if process.has("noNewPrivileges"):
        found["no_new_privileges"] = process.boolean("noNewPrivileges")
    if process.has("oomScoreAdj"):
        found["oom_score_adj"] = process.optional_number("oomScoreAdj", INT32)
    if process.has("apparmorProfile"):
        found["apparmor_profile"] = process.string("apparmorProfile")
    if process.has("selinuxLabel"):
        found["process_label"] = process.string("selinuxLabel")
    user = process.get("user")
    if isinstance(user, dict):
        umask = Table(user, process.at("user"), process.findings).optional_number("umask", UINT32)
        if umask is not None:
            found["umask"] = umask
    scheduler = process.table("scheduler")
    if scheduler is not None:
        found["scheduler"] = _scheduler(scheduler)
    io_priority = process.table("ioPriority")
    if io_priority is not None:
        found["io_priority"] = _io_priority(io_priority)
    affinity = process.table("execCPUAffinity")
    if affinity is not None:
        found["exec_cpu_affinity"] = CPUAffinity(
            initial=_cpus(affinity, "initial"), final=_cpus(affinity, "final")
        )
    return found


def _rlimit(limit: Table) -> list[Rlimit]:
    if not limit.require("type", "hard", "soft"):
        return []
    number = limit.named("type", RLIMITS, -1, "limit")
    hard, soft = limit.number("hard", UINT64), limit.number("soft", UINT64)
    return [Rlimit(number, hard, soft)]


def _io_priority(table: Table) -> IOPriority:
    from .names import IO_CLASSES

    table.require("class")
    number = table.named("class", IO_CLASSES, 2, "I/O class")
    return IOPriority(number, table.number("priority", INT32))


def _scheduler(table: Table) -> Scheduler:
    from .names import SCHEDULER_FLAGS, SCHEDULER_POLICIES

    table.require("policy")
    return Scheduler(
        table.named("policy", SCHEDULER_POLICIES, 0, "scheduling policy"),
        nice=table.number("nice", INT32),
        priority=table.number("priority", INT32),
        flags=table.bits("flags", SCHEDULER_FLAGS, "scheduler flag"),
        runtime=table.number("runtime", UINT64),
        deadline=table.number("deadline", UINT64),
        period=table.number("period", UINT64),
    )


def _cpus(affinity: Table, key: str) -> list[int] | None:
    text = affinity.string(key)
    if text:
        from ..config.number_lists import parse_numbers

        try:
            return parse_numbers(text)
        except ValueError as error:
            affinity.problem(key, str(error))
    return None

"""Rules about processes: what is executed and as whom, and the attributes of processes.

A Config has attributes for every process of the container, a Process has its
own; both are judged alike, and both have the places of the spec's "process".
"""

from __future__ import annotations

from ..errors import Finding
from ..syscalls.constants import (
    CAPABILITIES,
    PER_LINUX,
    PER_LINUX32,
    RLIMITS,
)
from ..syscalls.scheduling_constants import (
    MPOL_DEFAULT,
    MPOL_LOCAL,
    MPOL_PREFERRED,
    MPOL_WEIGHTED_INTERLEAVE,
    SCHED_BATCH,
    SCHED_DEADLINE,
    SCHED_FIFO,
    SCHED_OTHER,
    SCHED_RR,
)
from .namespace import NEWPID, NEWUSER
from .number_lists import HIGHEST_ID
from .rules_namespaces import find, is_mapped, is_private
from .texts import check_env, check_path, check_texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..life.process import Process
    from .attributes import (
        Capabilities,
        CPUAffinity,
        IOPriority,
        MemoryPolicy,
        Rlimit,
        Scheduler,
    )
    from .config import Config
    from .facts import Facts, Maps
    from .hooks import Function, Hook, Hooks

    Findings = list[Finding]

_HIGHEST_CPU = 1023  # cpu_set_t ends there


def attribute_rules(config: Config, facts: Facts, findings: Findings) -> None:
    """The attributes that a Config has for its processes."""
    score = config.oom_score_adj
    if score is not None and not -1000 <= score <= 1000:
        findings.append(Finding("process.oomScoreAdj", f"not between -1000 and 1000: {score}"))
    if not 0 <= config.parent_death_signal <= 64:
        message = f"not a signal: {config.parent_death_signal}"
        findings.append(Finding("parent_death_signal", message))
    if any(label.startswith("=") for label in config.labels):
        findings.append(Finding("annotations", "a key is empty"))
    _common_rules(config, config.exec_cpu_affinity, findings)
    if config.memory_policy is not None:
        _memory_policy_rules(config.memory_policy, findings)
    if config.personality is not None:
        if config.personality.domain not in (PER_LINUX, PER_LINUX32):
            message = f"unknown execution domain: {config.personality.domain}"
            findings.append(Finding("linux.personality.domain", message))
        if config.personality.flags:
            message = "no flag is supported by any runtime: ignored"
            findings.append(Finding("linux.personality.flags", message, "warning"))


def _common_rules(
    owner: Config | Process, affinity: CPUAffinity | None, findings: Findings
) -> None:
    if owner.umask is not None and not 0 <= owner.umask <= 0o777:
        findings.append(Finding("process.user.umask", f"not between 0 and 0777: {owner.umask:#o}"))
    if owner.capabilities is not None:
        _capability_rules(owner.capabilities, findings)
    if owner.rlimits:
        _rlimit_rules(owner.rlimits, findings)
    if owner.scheduler is not None:
        _scheduler_rules(owner.scheduler, findings)
    if owner.io_priority is not None:
        _io_priority_rules(owner.io_priority, findings)
    if affinity is not None:
        for name, cpus in (("initial", affinity.initial), ("final", affinity.final)):
            place = f"process.execCPUAffinity.{name}"
            if cpus is not None and not cpus:
                findings.append(Finding(place, "empty: a process needs a CPU"))
            for cpu in cpus or ():
                if not 0 <= cpu <= _HIGHEST_CPU:
                    findings.append(Finding(place, f"not a CPU: {cpu}"))


def _capability_rules(capabilities: Capabilities, findings: Findings) -> None:
    for field in ("bounding", "effective", "inheritable", "permitted", "ambient"):
        for index, name in enumerate(getattr(capabilities, field)):
            if name not in CAPABILITIES:
                message = f"unknown capability, ignored: {name!r}"
                place = f"process.capabilities.{field}[{index}]"
                findings.append(Finding(place, message, "warning"))
    # The kernel grants none of these (capabilities(7)).
    for field, needs in (("effective", ("permitted",)), ("ambient", ("permitted", "inheritable"))):
        for index, name in enumerate(getattr(capabilities, field)):
            without = [other for other in needs if name not in getattr(capabilities, other)]
            if without and name in CAPABILITIES:
                message = f"{name} is not in process.capabilities.{without[0]}, left out"
                place = f"process.capabilities.{field}[{index}]"
                findings.append(Finding(place, message, "warning"))


def _rlimit_rules(rlimits: Sequence[Rlimit], findings: Findings) -> None:
    seen: dict[int, int] = {}
    for index, limit in enumerate(rlimits):
        place = f"process.rlimits[{index}]"
        if limit.type not in RLIMITS.values():
            findings.append(Finding(f"{place}.type", f"unknown limit: {limit.type}"))
        elif limit.type in seen:
            message = f"the same limit as process.rlimits[{seen[limit.type]}]"
            findings.append(Finding(f"{place}.type", message))
        seen.setdefault(limit.type, index)
        for field, value in (("hard", limit.hard), ("soft", limit.soft)):
            if not 0 <= value < 1 << 64:
                findings.append(Finding(f"{place}.{field}", f"not an unsigned number: {value}"))
        if limit.soft > limit.hard:
            message = f"above the hard limit: {limit.soft} > {limit.hard}"
            findings.append(Finding(f"{place}.soft", message))


def _scheduler_rules(scheduler: Scheduler, findings: Findings) -> None:
    """sched(7), sched_setattr(2): what a value means depends on the policy."""
    policy = scheduler.policy
    if not SCHED_OTHER <= policy <= SCHED_DEADLINE:
        findings.append(Finding("process.scheduler.policy", f"unknown policy: {policy}"))
        return
    if policy in (SCHED_OTHER, SCHED_BATCH) and not -20 <= scheduler.nice <= 19:
        message = f"not between -20 and 19: {scheduler.nice}"
        findings.append(Finding("process.scheduler.nice", message))
    if policy in (SCHED_FIFO, SCHED_RR):
        if not 1 <= scheduler.priority <= 99:
            message = f"not between 1 and 99: {scheduler.priority}"
            findings.append(Finding("process.scheduler.priority", message))
    elif scheduler.priority:
        message = "only for SCHED_FIFO and SCHED_RR"
        findings.append(Finding("process.scheduler.priority", message))
    if policy != SCHED_DEADLINE:
        for field in ("runtime", "deadline", "period"):
            if getattr(scheduler, field):
                message = "only for SCHED_DEADLINE"
                findings.append(Finding(f"process.scheduler.{field}", message))
    if scheduler.flags & ~0x7F:
        message = f"unknown flags: {scheduler.flags:#x}"
        findings.append(Finding("process.scheduler.flags", message))


def _io_priority_rules(io_priority: IOPriority, findings: Findings) -> None:
    if io_priority.class_ not in (1, 2, 3):
        message = f"unknown I/O class: {io_priority.class_}"
        findings.append(Finding("process.ioPriority.class", message))
    if not 0 <= io_priority.priority <= 7:
        message = f"not between 0 and 7: {io_priority.priority}"
        findings.append(Finding("process.ioPriority.priority", message))


def _memory_policy_rules(policy: MemoryPolicy, findings: Findings) -> None:
    """set_mempolicy(2)."""

    def invalid(field: str, problem: str) -> None:
        findings.append(invalid_memory_policy(f"linux.memoryPolicy.{field}", problem))

    if not MPOL_DEFAULT <= policy.mode <= MPOL_WEIGHTED_INTERLEAVE:
        invalid("mode", f"unknown: {policy.mode}")
    elif policy.mode in (MPOL_DEFAULT, MPOL_LOCAL):
        if policy.nodes:
            invalid("nodes", f"this mode requires 0 nodes but got {len(policy.nodes)}")
    elif not policy.nodes and policy.mode != MPOL_PREFERRED:
        invalid("nodes", "this mode requires at least one node but got 0")
    if policy.flags & ~0xE000:
        invalid("flags", f"unknown: {policy.flags:#x}")


def invalid_memory_policy(place: str, problem: str) -> Finding:
    """What is wrong with linux.memoryPolicy, in runc's words; place: one of its fields."""
    field = place.split(".")[2].partition("[")[0]
    return Finding(
        place, f"invalid memory policy {'flag' if field == 'flags' else field}: {problem}"
    )


def validate_process(process: Process, config: Config, facts: Facts | None = None) -> list[Finding]:
    """What is wrong with a process to be run in a container of this configuration.

    facts: of this host, where it is None.
    """
    findings: list[Finding] = []
    _process_rules(process, config, findings)
    _user_rules(process, config, facts, findings)
    if process.apparmor_profile or process.label:
        from .facts import facts_of_host
        from .rules_labels import process_label_rules

        facts = facts or facts_of_host()
        process_label_rules(process.apparmor_profile, process.label, facts, findings)
    return findings


def _process_rules(process: Process, config: Config, findings: Findings) -> None:
    """All about one process."""
    if not process.args:
        findings.append(Finding("process.args", "args must not be empty"))
    elif not process.args[0]:
        findings.append(Finding("process.args[0]", "empty: there is no command"))
    check_texts("process.args", process.args, findings)
    check_env("process.env", process.env, findings)
    check_path("process.cwd", process.cwd, findings)
    for field, size in (("width", process.console_width), ("height", process.console_height)):
        if not 0 <= size < 1 << 16:
            message = f"not between 0 and 65535: {size}"
            findings.append(Finding(f"process.consoleSize.{field}", message))
    _common_rules(process, process.cpu_affinity, findings)
    if config.seccomp is not None and process.notify is None:
        from .rules_seccomp import process_rules

        process_rules(config.seccomp, findings)
    if process.init and process.sub_cgroup_paths:
        message = "the first process is in the container's control group itself"
        findings.append(Finding("sub_cgroup_paths", message))
    if process.reaper:
        _reaper_rules(process, config, findings)


def _reaper_rules(process: Process, config: Config, findings: Findings) -> None:
    if not process.init:
        findings.append(Finding("reaper", "only the first process of a container has one"))
    if not is_private(config, NEWPID):
        findings.append(Finding("reaper", "it needs a pid namespace of the container's own"))
    # The reaper has a pidfd of the caller's process, which leads to all that this has.
    if find(config, NEWUSER) is None and (
        may_trace(config.capabilities) or may_trace(process.capabilities)
    ):
        message = (
            "without a user namespace nobody in the container may have CAP_SYS_PTRACE, also not"
            " in the bounding set"
        )
        findings.append(Finding("reaper", message))


def may_trace(capabilities: Capabilities | None) -> bool:
    """Whether a process with these sets may trace others of its user namespace, or come to that."""
    sets = capabilities.to_dict().values() if capabilities is not None else ()
    return any("CAP_SYS_PTRACE" in names for names in sets)


def _user_rules(process: Process, config: Config, facts: Facts | None, findings: Findings) -> None:
    """The user is "user" or "user:group", each a name or a number; "" is root."""
    user, colon, group = (process.user or "0:0").partition(":")
    maps = _known_maps(process, config, facts)
    mapped = maps is not None
    uids, gids = maps or ([], [])
    joined = mapped and not is_private(config, NEWUSER)
    by = "the user namespace that is joined" if joined else "linux.{}Mappings"
    both = [("uid", user, uids)]
    if colon:
        both.append(("gid", group, gids))
    for field, name, mappings in both:
        place = f"process.user.{field}"
        number = _id(place, name, findings)
        if number is not None and mapped and not is_mapped(number, mappings):
            findings.append(Finding(place, f"not mapped by {by.format(field)}: {number}"))
    place = "process.user.additionalGids"
    for index, item in enumerate(process.additional_groups):
        number = _id(f"{place}[{index}]", item, findings)
        if number is not None and mapped and not is_mapped(number, gids):
            message = f"not mapped by {by.format('gid')}: {number}"
            findings.append(Finding(f"{place}[{index}]", message))
    if process.additional_groups and config.rootless_euid:
        findings.append(Finding(place, "an ordinary user cannot give additional groups"))


def _known_maps(process: Process, config: Config, facts: Facts | None) -> Maps | None:
    """Of the container's user namespace; None without one, or where they cannot be told.

    Those of one that is joined are its own, whatever the configuration says.  A
    further process enters that of the first, which the path need not lead to any more.
    """
    namespace = find(config, NEWUSER)
    if namespace is None or (namespace.path and not process.init):
        return None
    if not namespace.path:
        return config.uid_mappings, config.gid_mappings
    from .facts import facts_of_host

    maps = (facts or facts_of_host()).user_namespace_maps(namespace.path)
    # Of one without maps the kernel says more than that no id is mapped.
    return maps if maps is not None and all(maps) else None


def _id(place: str, item: int | str, findings: Findings) -> int | None:
    """The number that a user or group is; None for a name, and for what is neither."""
    if isinstance(item, str) and not (item.isascii() and item.isdigit()):
        # Of a line of passwd(5); a sign or a space would be a number to careless readers.
        if not item or item[0] in "+-" or any(at in ":,/\0" or at.isspace() for at in item):
            findings.append(Finding(place, f"not a name: {item!r}"))
        return None
    number = int(item) if len(str(item)) <= 20 else HIGHEST_ID + 1
    if 0 <= number <= HIGHEST_ID:
        return number
    findings.append(Finding(place, f"not an id: {item}"))
    return None


def hook_rules(hooks: Hooks, findings: Findings) -> None:
    for name, items in (
        ("prestart", hooks.prestart),
        ("createRuntime", hooks.create_runtime),
        ("createContainer", hooks.create_container),
        ("startContainer", hooks.start_container),
        ("poststart", hooks.poststart),
        ("poststop", hooks.poststop),
    ):
        for index, hook in enumerate(items):
            _hook_rules(f"hooks.{name}[{index}]", hook, findings)


def _hook_rules(place: str, hook: Hook | Function, findings: Findings) -> None:
    if callable(hook):
        if place.startswith(("hooks.createContainer", "hooks.startContainer")):
            message = "a function cannot run in the container: only a program can"
            findings.append(Finding(place, message))
        return
    check_path(f"{place}.path", hook.path, findings)
    check_texts(f"{place}.args", hook.args, findings)
    check_env(f"{place}.env", hook.env or (), findings)
    if hook.timeout is not None and hook.timeout < 1:
        findings.append(Finding(f"{place}.timeout", f"not above 0: {hook.timeout}"))

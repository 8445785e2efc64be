"""The rarer objects of a configuration: seccomp, hooks, resctrl, memory policy."""

from __future__ import annotations

from ..config.attributes import IntelRdt, MemoryPolicy, Personality
from ..config.hooks import Hook, Hooks
from ..config.landlock import PLACE, Landlock
from ..config.number_lists import parse_numbers
from ..config.rules_process import invalid_memory_policy
from ..config.seccomp import Seccomp, SeccompArg, SeccompRule
from ..errors import ConfigError, Finding
from ..loading.jsontext import loads
from .names import HOOKS, MEMORY_FLAGS, MEMORY_MODES, PERSONALITIES
from .reader import INT64, UINT16, UINT32, UINT64, Table, show, unknown

MAX_NODES = 1024  # 1 << CONFIG_NODES_SHIFT, which is 10 at most


def read_hooks(table: Table) -> Hooks:
    hooks = Hooks()
    for key, field in HOOKS.items():
        setattr(hooks, field, [_hook(hook) for hook in table.tables(key)])
    return hooks


def _hook(table: Table) -> Hook:
    table.require("path")
    return Hook(
        table.string("path"),
        table.strings("args"),
        table.strings("env") if table.has("env") else None,
        table.optional_number("timeout", INT64),
    )


def read_seccomp(table: Table) -> Seccomp | None:
    """The filter; None for one without default action and rules, which filters nothing."""
    if not table.get("defaultAction") and not table.get("syscalls"):
        return None
    table.require("defaultAction")
    return Seccomp(
        table.string("defaultAction"),
        default_errno_ret=table.optional_number("defaultErrnoRet", UINT32),
        architectures=table.strings("architectures"),
        flags=table.strings("flags") if table.has("flags") else None,
        syscalls=[_seccomp_rule(rule) for rule in table.tables("syscalls")],
        listener_path=table.string("listenerPath"),
        listener_metadata=table.string("listenerMetadata"),
    )


def _seccomp_rule(rule: Table) -> SeccompRule:
    rule.require("names", "action")
    return SeccompRule(
        rule.strings("names"),
        rule.string("action"),
        rule.optional_number("errnoRet", UINT32),
        [read_seccomp_arg(condition) for condition in rule.tables("args")],
    )


def read_seccomp_arg(condition: Table) -> SeccompArg:
    condition.require("index", "value", "op")
    return SeccompArg(
        condition.number("index", UINT32),
        condition.number("value", UINT64),
        condition.number("valueTwo", UINT64),
        condition.string("op"),
    )


def read_landlock(text: str, findings: list[Finding], place: str = PLACE) -> Landlock | None:
    """The rules of the annotation; None where it is no JSON object, which is a finding then."""
    try:
        values = loads(text, place)
    except ConfigError as error:
        findings += error.findings
        return None
    if not isinstance(values, dict):
        findings.append(Finding(place, f"not an object: {show(values)}"))
        return None
    table = Table(values, place, findings)
    fields = dict.fromkeys(Landlock.__annotations__)
    for name in values:
        if name.lower() not in fields:  # one that is spelled wrong would restrict nothing
            findings.append(Finding(place, unknown(name, fields, "field")))
    landlock = Landlock(scope=table.strings("scope"), best_effort=table.boolean("best_effort"))
    for name in ("read", "write", "execute"):
        if table.has(name):
            setattr(landlock, name, table.strings(name))
    for name in ("bind_tcp", "connect_tcp"):
        if table.has(name):
            setattr(landlock, name, table.numbers(name, UINT16))
    return landlock


def read_intel_rdt(table: Table) -> IntelRdt:
    return IntelRdt(
        clos_id=table.string("closID"),
        schemata=table.strings("schemata"),
        l3_cache_schema=table.string("l3CacheSchema"),
        mem_bw_schema=table.string("memBwSchema"),
        enable_monitoring=table.boolean("enableMonitoring"),
    )


def read_memory_policy(table: Table) -> MemoryPolicy:
    findings = table.findings
    before = len(findings)
    policy = _memory_policy(table)
    findings[before:] = [
        invalid_memory_policy(at.place, at.message) if at.level == "error" else at
        for at in findings[before:]
    ]
    return policy


def _memory_policy(table: Table) -> MemoryPolicy:
    table.require("mode")
    nodes: list[int] = []
    text = table.string("nodes")
    if text:
        try:
            nodes = parse_numbers(text, MAX_NODES)
        except ValueError as error:
            table.problem("nodes", str(error))
    return MemoryPolicy(
        table.named("mode", MEMORY_MODES, 0),
        table.bits("flags", MEMORY_FLAGS, ""),
        nodes,
    )


def read_personality(table: Table) -> Personality:
    table.require("domain")
    return Personality(
        table.named("domain", PERSONALITIES, 0, "execution domain"), table.strings("flags")
    )

"""Rules about the system call filter (config-linux.md, Seccomp)."""

from __future__ import annotations

from ..errors import Finding
from .texts import check_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .seccomp import Seccomp, SeccompArg, SeccompRule

    Findings = list[Finding]

_PLACE = "linux.seccomp"

ACTIONS = frozenset(
    (
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_TRAP",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_TRACE",
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_LOG",
        "SCMP_ACT_NOTIFY",
    )
)
ARCHITECTURES = frozenset(
    (
        "SCMP_ARCH_X86",
        "SCMP_ARCH_X86_64",
        "SCMP_ARCH_X32",
        "SCMP_ARCH_ARM",
        "SCMP_ARCH_AARCH64",
        "SCMP_ARCH_MIPS",
        "SCMP_ARCH_MIPS64",
        "SCMP_ARCH_MIPS64N32",
        "SCMP_ARCH_MIPSEL",
        "SCMP_ARCH_MIPSEL64",
        "SCMP_ARCH_MIPSEL64N32",
        "SCMP_ARCH_PPC",
        "SCMP_ARCH_PPC64",
        "SCMP_ARCH_PPC64LE",
        "SCMP_ARCH_RISCV64",
        "SCMP_ARCH_S390",
        "SCMP_ARCH_S390X",
        "SCMP_ARCH_LOONGARCH64",
    )
)
FLAGS = frozenset(
    (
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    )
)
OPERATORS = frozenset(
    (
        "SCMP_CMP_NE",
        "SCMP_CMP_LT",
        "SCMP_CMP_LE",
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ",
    )
)
# What the process does under the filter before somebody else has the listener, who alone
# could answer: it tells the runtime its number, waits, and may ask for memory meanwhile; then
# it closes its own copy, for which nobody would answer where the other one is closed already.
BEFORE_LISTENER = frozenset(("read", "write", "close_range", "brk", "mmap", "munmap"))
_LONGEST_SOCKET = 107  # bytes, and a NUL: unix(7), sun_path
_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")


def seccomp_rules(seccomp: Seccomp, findings: Findings) -> None:
    action = seccomp.default_action
    _known(f"{_PLACE}.defaultAction", action, ACTIONS, "action", findings)
    if action == "SCMP_ACT_NOTIFY":
        message = "SCMP_ACT_NOTIFY cannot be the default: the start itself needs system calls"
        findings.append(Finding(f"{_PLACE}.defaultAction", message))
    _errno_rule(f"{_PLACE}.defaultErrnoRet", seccomp.default_errno_ret, action, findings)
    for index, name in enumerate(seccomp.architectures):
        place = f"{_PLACE}.architectures[{index}]"
        _known(place, name, ARCHITECTURES, "architecture", findings)
    for index, name in enumerate(seccomp.flags or ()):
        _known(f"{_PLACE}.flags[{index}]", name, FLAGS, "flag", findings)
    for index, rule in enumerate(seccomp.syscalls):
        _rule_rules(f"{_PLACE}.syscalls[{index}]", rule, findings)
    _listener_rules(seccomp, findings)


def _known(place: str, name: str, names: frozenset[str], what: str, findings: Findings) -> None:
    if name not in names:
        known = ", ".join(sorted(names))
        findings.append(Finding(place, f"unknown {what}: {name!r} (known: {known})"))


def _errno_rule(place: str, value: int | None, action: str, findings: Findings) -> None:
    if value is not None and action not in _WITH_ERRNO:
        message = f"has no effect: {action} returns no error number"
        findings.append(Finding(place, message, "warning"))


def _rule_rules(place: str, rule: SeccompRule, findings: Findings) -> None:
    if not rule.names:
        findings.append(Finding(f"{place}.names", "empty: no system call is named"))
    _known(f"{place}.action", rule.action, ACTIONS, "action", findings)
    _errno_rule(f"{place}.errnoRet", rule.errno_ret, rule.action, findings)
    if rule.action == "SCMP_ACT_NOTIFY":
        for name in dict.fromkeys(name for name in rule.names if name in BEFORE_LISTENER):
            message = f"{name} cannot be notified: the listener is handed over by it"
            findings.append(Finding(f"{place}.names", message))
    for index, condition in enumerate(rule.args):
        _condition_rules(f"{place}.args[{index}]", condition, findings)


def _condition_rules(place: str, condition: SeccompArg, findings: Findings) -> None:
    if not 0 <= condition.index <= 5:
        message = f"system calls have arguments 0 to 5: {condition.index}"
        findings.append(Finding(f"{place}.index", message))
    _known(f"{place}.op", condition.op, OPERATORS, "operator", findings)
    for field, value in (("value", condition.value), ("valueTwo", condition.value_two)):
        if not 0 <= value < 1 << 64:
            findings.append(Finding(f"{place}.{field}", f"not an unsigned number: {value}"))


def process_rules(seccomp: Seccomp, findings: Findings) -> None:
    """Of a process that has nobody in the caller for its notifications."""
    if has_listener(seccomp) and not seccomp.listener_path:
        message = "missing: a rule has SCMP_ACT_NOTIFY"
        findings.append(Finding(f"{_PLACE}.listenerPath", message))


def has_listener(seccomp: Seccomp) -> bool:
    return any(rule.action == "SCMP_ACT_NOTIFY" for rule in seccomp.syscalls)


def _listener_rules(seccomp: Seccomp, findings: Findings) -> None:
    place = f"{_PLACE}.listenerPath"
    if seccomp.listener_path:
        if check_path(place, seccomp.listener_path, findings):
            size = len(seccomp.listener_path.encode("utf-8", "surrogateescape"))
            if size > _LONGEST_SOCKET:
                message = f"{size} bytes: the path of a socket has {_LONGEST_SOCKET} at most"
                findings.append(Finding(place, message))
        if not has_listener(seccomp):
            message = "is not used: no rule has SCMP_ACT_NOTIFY"
            findings.append(Finding(place, message, "warning"))
    else:
        if seccomp.listener_metadata:
            findings.append(Finding(f"{_PLACE}.listenerMetadata", "needs a listenerPath"))

"""What is suspicious in a profile: it compiles, and does not do what somebody meant."""

from __future__ import annotations

from ..config.nearest import did_you_mean
from ..config.rules_seccomp import seccomp_rules
from ..errors import Finding
from .actions import ALLOW, LOG
from .architectures import ARCHITECTURES
from .explain import Explainer
from .rules import cases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..config.seccomp import Seccomp, SeccompArg, SeccompRule
    from .architectures import Architecture
    from .rules import Rule

    Findings = list[Finding]

_SPEC = "linux.seccomp."
_PASSING = (ALLOW, LOG)
# Arguments of which the kernel looks at 32 bits, and that profiles are about.
_INTS = {"clone": 0, "ioctl": 1, "personality": 0, "socket": 0, "socketpair": 0}
_SHOWN = 6  # names in a message


def lint(
    seccomp: Seccomp,
    machine: Architecture,
    needed: Mapping[str, str],
    some: Mapping[str, str] | None = None,
) -> list[Finding]:
    """What there is to say about a profile; places are those of the record ("syscalls[3]").

    needed: calls that the start of a container makes under the filter, and in which starts.
    some: those of starts that are not everybody's, which are warnings only.
    """
    findings: Findings = []
    seccomp_rules(seccomp, findings)
    for finding in findings:
        finding.place = finding.place[len(_SPEC) :]
    if any(finding.level == "error" for finding in findings):
        return findings
    try:
        explainer = Explainer(seccomp, machine)
    except ValueError as error:
        return [*findings, Finding("", str(error))]
    names = {name for one in ARCHITECTURES.values() for name in one.numbers()}
    for rule, written in zip(explainer.rules, seccomp.syscalls):
        findings += _unknown(rule, names)
        findings += _conditions(rule.place, written)
        if not names.isdisjoint(rule.names):
            findings += _futile(rule, explainer)
    findings += _start(explainer, machine, needed, "error")
    return [*findings, *_start(explainer, machine, some or {}, "warning")]


def _warning(place: str, message: str) -> Finding:
    return Finding(place, message, "warning")


def _unknown(rule: Rule, names: set[str]) -> Iterable[Finding]:
    for index, name in enumerate(rule.names):
        if name not in names:
            hint = did_you_mean(name, names)
            yield _warning(f"{rule.place}.names[{index}]", f"unknown system call: {name!r}{hint}")


def _conditions(place: str, rule: SeccompRule) -> Iterable[Finding]:
    """Conditions that never hold, that are not what they look like, or that are easily avoided."""
    seen = set()
    for index, one in enumerate(rule.args):
        where = f"{place}.args[{index}]"
        if one.index in seen:
            message = f"another condition on argument {one.index}: one of them is enough"
            yield _warning(where, message)
        seen.add(one.index)
        if one.op == "SCMP_CMP_MASKED_EQ":
            if one.value_two & ~one.value:
                message = "has bits that the mask in value does not have: they are not compared"
                yield _warning(f"{where}.valueTwo", message)
        elif one.value_two:
            yield _warning(f"{where}.valueTwo", f"is not used by {one.op}")
        if (one.op, one.value) in (("SCMP_CMP_LT", 0), ("SCMP_CMP_GT", (1 << 64) - 1)):
            yield _warning(where, "never holds: there is no such number")
        avoided = [name for name in rule.names if _INTS.get(name) == one.index]
        if avoided and _avoidable(rule, one):
            yield _warning(
                where,
                f"is avoided by setting one of the upper 32 bits, which {avoided[0]} does not look"
                " at: use SCMP_CMP_MASKED_EQ with the mask 4294967295",
            )


def _avoidable(rule: SeccompRule, one: SeccompArg) -> bool:
    """Whether a larger number of the same lower half takes another way to pass the filter."""
    if rule.action in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG"):
        if (one.op, one.value) == ("SCMP_CMP_GE", 0):
            return False
        return one.op in ("SCMP_CMP_NE", "SCMP_CMP_GT", "SCMP_CMP_GE")
    return one.op in ("SCMP_CMP_EQ", "SCMP_CMP_LT", "SCMP_CMP_LE")


def _futile(rule: Rule, explainer: Explainer) -> Iterable[Finding]:
    """Whether there is a call that the rule decides on."""
    if rule.answer is None:
        yield _warning(rule.place, "does nothing: its action is the default action")
        return
    decided: dict[str, list[str]] = {}  # names, by the place of the rule that decides on them
    exists = useful = False
    for name in dict.fromkeys(rule.names):
        by, here = _deciding(rule, name, explainer)
        exists = exists or here
        if by:
            decided.setdefault(by, []).append(name)
        elif here:
            useful = True
    if not exists:
        machines = ", ".join(explainer.architectures)
        yield _warning(rule.place, f"never matches: {machines} has no such call")
    for place, names in decided.items():
        shown = ", ".join(names[:_SHOWN]) + (" and others" if len(names) > _SHOWN else "")
        never = "" if useful or len(decided) > 1 else "never matches: "
        yield _warning(rule.place, f"{never}{place} decides on {shown}")


def _deciding(rule: Rule, name: str, explainer: Explainer) -> tuple[str, bool]:
    """The place of another rule that decides on a call instead, and whether the call exists."""
    place, exists = "", False
    for architecture in explainer.architectures.values():
        numbers = architecture.numbers()
        own = [numbers[name]] if name in numbers else []
        origins = explainer.meanings[architecture.name].origins
        for number, conditions in cases(rule, [name], own, architecture):
            exists = True
            found = origins[number]
            by = found.get(()) or found[conditions]
            if by is rule:
                return "", True
            if number in own:  # not by way of another call
                place = place or by.place
    return place, exists


def _start(
    explainer: Explainer, machine: Architecture, needed: Mapping[str, str], level: str
) -> Iterable[Finding]:
    """Calls that are refused, by conditions too; of those for a warning, without any."""
    numbers = machine.numbers()
    for name, when in needed.items():
        if name not in numbers:
            continue
        answers = explainer.explain(machine, numbers[name], {})
        refused = [answer for answer in answers if answer.value not in _PASSING]
        if not refused or (level == "warning" and len(refused) < len(answers)):
            continue
        message = f"{name} is not let through, which {when} makes under the filter"
        if refused[0].conditions:
            message += f" (where {refused[0].conditions})"
        yield Finding(refused[0].place, message, level)

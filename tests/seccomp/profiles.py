"""Profiles to compile in tests: random ones, engines' ones, and calls to try on them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

from libct.config.seccomp import Seccomp, SeccompArg, SeccompRule
from libct.seccomp.architectures import ARCHITECTURES, named
from libct.seccomp.rules import IPCS, SOCKETCALLS

from . import PODMAN as PODMAN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from libct.seccomp.architectures import Architecture

    Call = tuple[int, int, tuple[int, ...]]  # token, number, arguments


def _any(_architecture: Architecture, _name: str) -> bool:
    return True


# Docker's default, of Debian's source package docker.io 20.10.24 (Apache-2.0).
DOCKER = Path(__file__).with_name("moby-20.10.24-default.json")
OPERATORS = ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
# Native architecture -> those that engines list with it.
FAMILIES = {
    "X86_64": ("X86", "X32"),
    "X86": (),
    "AARCH64": ("ARM",),
    "ARM": (),
    "MIPS64": ("MIPS", "MIPS64N32"),
    "MIPSEL64": ("MIPSEL", "MIPSEL64N32"),
    "PPC": (),
    "PPC64": ("PPC",),
    "PPC64LE": (),
    "RISCV64": (),
    "S390X": ("S390",),
}
_ACTIONS = ("KILL", "KILL_PROCESS", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY")
_VALUES = (0, 1, 2, 5, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 5, (1 << 64) - 1)


def engine_profile(path: Path, native: str, caps: frozenset[str] = frozenset()) -> Seccomp:
    """What an engine makes of a profile in Docker's format, for a machine and capabilities."""
    golang = {"X86_64": "amd64", "AARCH64": "arm64", "S390X": "s390x", "RISCV64": "riscv64"}
    profile = json.loads(path.read_text())
    rules = []
    for rule in profile["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        arch = golang.get(native, native.lower())
        if caps.intersection(excludes.get("caps", ())) or arch in excludes.get("arches", ()):
            continue
        if not caps.issuperset(includes.get("caps", ())):
            continue
        if arch not in includes.get("arches", (arch,)):
            continue
        conditions = [
            SeccompArg(one["index"], one["value"], one.get("valueTwo", 0), one["op"])
            for one in rule.get("args") or ()
        ]
        names = rule.get("names") or [rule["name"]]
        rules.append(SeccompRule(names, rule["action"], rule.get("errnoRet"), conditions))
    listed = [f"SCMP_ARCH_{name}" for name in (native, *FAMILIES[native])]
    default = profile.get("defaultErrnoRet")
    return Seccomp(profile["defaultAction"], default, listed, syscalls=rules)


def random_profile(
    seed: int, *, actions: int = 1, known: Callable[[Architecture, str], object] = _any
) -> tuple[Seccomp, Architecture]:
    """A profile, and the machine that it is for.

    actions: how many a call's rules have among them.
    known: which of an architecture's calls may be named.
    """
    dice = random.Random(seed)
    native = dice.choice(list(FAMILIES))
    listed = [name for name in FAMILIES[native] if dice.random() < 0.6]
    if dice.random() < 0.5:
        listed.insert(0, native)
    names = sorted(
        {
            name
            for one in map(named, (native, *listed))
            for name in one.numbers()
            if known(one, name)
        }
    )
    pool = dice.sample(names, 12) + dice.sample(sorted({**SOCKETCALLS, **IPCS}), 3)
    default = f"SCMP_ACT_{dice.choice([one for one in _ACTIONS if one != 'NOTIFY'])}"
    rules = []
    # A call by way of socketcall(2) and ipc(2) is what all of these are.
    answers: dict[str, list[tuple[str, int | None]]] = {}
    shared = [_action(dice) for _ in range(actions)]
    for name in pool:
        multiplexed = name in SOCKETCALLS or name in IPCS
        answers[name] = shared if multiplexed else [_action(dice) for _ in range(actions)]
    for _ in range(dice.randrange(1, 40)):
        name = dice.choice(pool)
        action, errno_ret = dice.choice(answers[name])
        conditions = [_condition(dice) for _ in range(dice.choice((0, 1, 1, 1, 2, 2, 3)))]
        same = [other for other in pool if answers[other] == answers[name]]
        some = {name, *dice.sample(same, min(len(same), dice.randrange(2)))}
        rules.append(SeccompRule(sorted(some), action, errno_ret, conditions))
    flags = [f"SCMP_ARCH_{one}" for one in listed]
    number = dice.choice((None, 1, 38, 95)) if default in ("SCMP_ACT_ERRNO",) else None
    return Seccomp(default, number, flags, syscalls=rules), named(native)


def _action(dice: random.Random) -> tuple[str, int | None]:
    action = dice.choice(_ACTIONS)
    number = dice.choice((None, 0, 1, 4094)) if action in ("ERRNO", "TRACE") else None
    return f"SCMP_ACT_{action}", number


def _condition(dice: random.Random) -> SeccompArg:
    index, value, other = dice.choice((0, 0, 1, 2, 5)), _value(dice), _value(dice)
    return SeccompArg(index, value, other, f"SCMP_CMP_{dice.choice(OPERATORS)}")


def _value(dice: random.Random) -> int:
    return dice.choice((*_VALUES, dice.getrandbits(64), dice.getrandbits(4)))


def simple(seccomp: Seccomp) -> Seccomp:
    """The same with one rule for a call, and one condition for an argument."""
    seen = {*SOCKETCALLS, *IPCS}
    rules = []
    for rule in seccomp.syscalls:
        names = [name for name in rule.names if name not in seen]
        seen.update(names)
        conditions = list({one.index: one for one in rule.args}.values())
        if names:
            rules.append(SeccompRule(names, rule.action, rule.errno_ret, conditions))
    listed = seccomp.architectures
    return Seccomp(seccomp.default_action, seccomp.default_errno_ret, listed, syscalls=rules)


def calls(
    seccomp: Seccomp, native: Architecture, newest: dict[str, int], seed: int, count: int
) -> Iterator[Call]:
    """A sample of calls, most of them such that the profile's rules are about them.

    newest: for each architecture, the largest number that is tried.
    """
    dice = random.Random(seed)
    listed = {native.name: native}
    listed.update((one.name, one) for one in map(named, seccomp.architectures))
    unlisted = [one for one in ARCHITECTURES.values() if one.name not in listed]
    for _ in range(count):
        architecture = dice.choice(list(listed.values()))
        if dice.random() < 0.02:
            architecture = dice.choice(unlisted)
        numbers = architecture.numbers()
        rule = dice.choice(seccomp.syscalls) if seccomp.syscalls else None
        base = min(numbers.values())
        number = dice.randrange(base, max(base, newest.get(architecture.name, base + 500)) + 1)
        arguments = [_value(dice) for _ in range(6)]
        if rule and dice.random() < 0.8:
            name = dice.choice(rule.names)
            number = numbers.get(name, number)
            for one in rule.args:
                if dice.random() < 0.8:
                    arguments[one.index] = _near(one, dice)
            multiplexer, table = dice.choice(
                ((architecture.socketcall, SOCKETCALLS), (architecture.ipc, IPCS))
            )
            if multiplexer and dice.random() < 0.7 and name in table:
                number = multiplexer
                arguments[0] = table[name]
        if number <= newest.get(architecture.name, number):
            yield architecture.token, number, tuple(arguments)


def _near(one: SeccompArg, dice: random.Random) -> int:
    value = one.value
    if one.op == "SCMP_CMP_MASKED_EQ":
        value = one.value_two & one.value | dice.getrandbits(64) & ~one.value
    value += dice.choice((0, 0, 0, 1, -1, 1 << 32, -(1 << 32), 1 << dice.randrange(64)))
    return value % (1 << 64)

"""Which rule decides on a call, and what is suspicious in a profile."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from libct.config.seccomp import Seccomp, SeccompArg, SeccompRule
from libct.seccomp.actions import ALLOW, ENOSYS, ERRNO, KILL_THREAD
from libct.seccomp.architectures import named
from libct.seccomp.compiler import compile_profile
from libct.seccomp.explain import Explainer, multiplexed
from libct.seccomp.interpreter import call_data, run
from libct.seccomp.lint import lint

from ..seccomp.profiles import DOCKER, calls, engine_profile, random_profile
from .test_seccomp_compiler import allow, profile
from .test_seccomp_differential import newest

if TYPE_CHECKING:
    from libct.seccomp.architectures import Architecture

X86_64, X86 = named("X86_64"), named("X86")
EPERM = ERRNO | 1


def told(
    seccomp: Seccomp, call: str | int, *arguments: int, on: Architecture = X86_64, **known: int
) -> list[tuple[str, str, int]]:
    number = call if isinstance(call, int) else on.numbers()[call]
    given = dict(enumerate((*arguments, *(0,) * (6 - len(arguments))))) if arguments else {}
    given.update({int(name[1:]): value for name, value in known.items()})
    found = Explainer(seccomp, X86_64).explain(on, number, given)
    return [(one.conditions, one.place, one.value) for one in found]


def equal(index: int, value: int) -> SeccompArg:
    return SeccompArg(index, value)


def test_the_place_that_decides() -> None:
    seccomp = profile(
        allow("read"),
        SeccompRule(["openat2", "write"], "SCMP_ACT_ERRNO"),
        allow("read", "close"),
        architectures=["SCMP_ARCH_X86"],
    )
    assert told(seccomp, "read") == [("", "syscalls[0]", ALLOW)]
    assert told(seccomp, "close", on=X86) == [("", "syscalls[2]", ALLOW)]
    assert told(seccomp, "write") == [("", "syscalls[1]", EPERM)]  # with the default action
    assert told(seccomp, "mkdir") == [("", "defaultAction", EPERM)]
    assert told(seccomp, 500) == [("", "newer", ENOSYS)]
    assert told(seccomp, "read", on=named("X32")) == [("", "architectures", KILL_THREAD)]


def test_what_depends_on_arguments_is_told_in_the_order_it_is_tried() -> None:
    later = SeccompArg(1, 0xFF, 5, "SCMP_CMP_MASKED_EQ")
    seccomp = profile(
        allow("read", args=(equal(0, 1), equal(2, 3))),
        SeccompRule(["read"], "SCMP_ACT_LOG", args=[later]),
        allow("read", args=(SeccompArg(0, 9, op="SCMP_CMP_GE"),)),
    )
    both = ("argument 0 == 0x1 and argument 2 == 0x3", "syscalls[0]", ALLOW)
    masked = ("argument 1 & 0xff == 0x5", "syscalls[1]", 0x7FFC0000)
    ge = ("argument 0 >= 0x9", "syscalls[2]", ALLOW)
    default = ("", "defaultAction", EPERM)
    assert told(seccomp, "read") == [masked, both, ge, default]
    assert told(seccomp, "read", 9) == [("", "syscalls[2]", ALLOW)]
    assert told(seccomp, "read", 9, 0x105) == [("", "syscalls[1]", 0x7FFC0000)]
    assert told(seccomp, "read", 1, 0, 3) == [("", "syscalls[0]", ALLOW)]
    assert told(seccomp, "read", 8) == [default]
    assert told(seccomp, "read", a0=1) == [
        masked,
        ("argument 2 == 0x3", "syscalls[0]", ALLOW),
        default,
    ]


def test_by_way_of_another_call() -> None:
    assert multiplexed(X86, "socket") == (102, 1)
    assert multiplexed(X86, "msgget") == (117, 13)
    assert multiplexed(X86, "read") is None
    assert multiplexed(X86_64, "socket") is None
    seccomp = profile(allow("socket", args=(equal(0, 1),)), architectures=["SCMP_ARCH_X86"])
    assert told(seccomp, 102, on=X86, a0=1) == [("", "syscalls[0]", ALLOW)]
    assert told(seccomp, 102, on=X86, a0=2) == [("", "defaultAction", EPERM)]


def test_what_is_told_is_what_the_filter_answers() -> None:
    for seed in range(600, 680):
        seccomp, machine = random_profile(seed)
        explainer = Explainer(seccomp, machine)
        program = compile_profile(seccomp, machine)
        dice = random.Random(seed)
        for token, number, arguments in calls(seccomp, machine, newest(seccomp, machine), seed, 60):
            on = [one for one in explainer.architectures.values() if one.token == token]
            if machine.name == "X86_64" and token == machine.token:
                on = [named("X32" if number >> 30 == 1 else "X86_64")]
            if not on:
                continue
            data = call_data(token, number, arguments, byte_order=machine.byte_order)
            value, steps = run(program, data, machine.byte_order)
            mask = (1 << 64) - 1 if on[0].wide else (1 << 32) - 1
            known = {index: one & mask for index, one in enumerate(arguments)}
            (answer,) = explainer.explain(on[0], number, known)
            assert (answer.value, answer.conditions) == (value, ""), (seed, number)
            assert answer.steps == steps
            # Where less is known that answer is among those that there may be.
            for index in dice.sample(range(6), 3):
                del known[index]
            several = explainer.explain(on[0], number, known)
            assert value in [one.value for one in several]
            assert [bool(one.conditions) for one in several][-1] is False


# --- lint ---


def said(seccomp: Seccomp, **needed: str) -> list[str]:
    found = lint(seccomp, X86_64, needed)
    assert all(one.level == "warning" for one in found) or needed
    return [f"{one.level[0]} {one}" for one in found]


def test_names_that_linux_does_not_have() -> None:
    assert said(profile(allow("read", "opennat", "xyzzy"))) == [
        "w syscalls[0].names[1]: unknown system call: 'opennat' (did you mean openat?)",
        "w syscalls[0].names[2]: unknown system call: 'xyzzy'",
    ]


def test_an_error_number_that_is_ignored() -> None:
    message = "errnoRet: has no effect: SCMP_ACT_ALLOW returns no error number"
    assert said(profile(SeccompRule(["read"], "SCMP_ACT_ALLOW", 5))) == [f"w syscalls[0].{message}"]


def test_rules_that_decide_on_nothing() -> None:
    trap = SeccompRule(["read"], "SCMP_ACT_TRAP")
    assert said(profile(allow("read", "write"), trap, allow("write", "close"))) == [
        "w syscalls[1]: never matches: syscalls[0] decides on read",
        "w syscalls[2]: syscalls[0] decides on write",
    ]
    # One with conditions, and one with the same conditions.
    assert said(profile(allow("read", args=(equal(0, 1),)), allow("read"))) == [
        "w syscalls[0]: never matches: syscalls[1] decides on read"
    ]
    twice = [allow("read", args=(equal(0, 1), equal(1, 2)))] * 2
    assert said(profile(*twice)) == ["w syscalls[1]: never matches: syscalls[0] decides on read"]
    assert said(profile(SeccompRule(["read"], "SCMP_ACT_ERRNO"))) == [
        "w syscalls[0]: does nothing: its action is the default action"
    ]
    assert said(profile(allow("set_tls"), allow("read"))) == [
        "w syscalls[0]: never matches: X86_64 has no such call"
    ]
    many = allow(*sorted(X86_64.numbers())[:9])
    assert said(profile(many, many))[0].endswith(" and others")


def test_what_another_architecture_needs_is_no_mistake() -> None:
    seccomp = profile(allow("read", "xyzzy", "set_tls", "mmap2"), architectures=["SCMP_ARCH_X86"])
    assert said(seccomp) == ["w syscalls[0].names[1]: unknown system call: 'xyzzy'"]
    # socket and read there are, on X86, behind socketcall, and that is decided on already.
    seccomp = profile(allow("socketcall"), allow("recv"), architectures=["SCMP_ARCH_X86"])
    assert said(seccomp) == []


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ((equal(0, 1), equal(0, 2)), "args[1]: another condition on argument 0: one of them is"),
        ((SeccompArg(0, 0, op="SCMP_CMP_LT"),), "args[0]: never holds"),
        ((SeccompArg(0, (1 << 64) - 1, op="SCMP_CMP_GT"),), "args[0]: never holds"),
        ((SeccompArg(0, 0xF, 0x1F, "SCMP_CMP_MASKED_EQ"),), "args[0].valueTwo: has bits that the"),
        ((SeccompArg(0, 1, 2, "SCMP_CMP_EQ"),), "args[0].valueTwo: is not used by SCMP_CMP_EQ"),
        ((SeccompArg(0, 0, op="SCMP_CMP_GE"),), ""),
        ((SeccompArg(0, 0xF, 0xF, "SCMP_CMP_MASKED_EQ"),), ""),
    ],
)
def test_conditions_that_are_not_what_they_look_like(
    conditions: tuple[SeccompArg, ...], message: str
) -> None:
    found = said(profile(allow("read", args=conditions)))
    assert [one.startswith(f"w syscalls[0].{message}") for one in found] == [True] * bool(message)


@pytest.mark.parametrize(
    ("action", "operator", "avoided"),
    [
        ("TRAP", "EQ", True),
        ("TRAP", "LE", True),
        ("TRAP", "MASKED_EQ", False),
        ("TRAP", "GE", False),
        ("ALLOW", "NE", True),
        ("ALLOW", "GT", True),
        ("ALLOW", "EQ", False),
        ("ALLOW", "LT", False),
    ],
)
def test_conditions_that_another_bit_avoids(action: str, operator: str, avoided: bool) -> None:
    """CVE-2019-10063: ioctl looks at 32 bits of its second argument."""
    condition = SeccompArg(1, 0xFFFFFFFF, 0, f"SCMP_CMP_{operator}")
    for name, index in (("ioctl", 1), ("lseek", 1), ("ioctl", 2)):
        condition.index = index
        rule = SeccompRule([name], f"SCMP_ACT_{action}", args=[condition])
        found = said(profile(rule))
        hit = avoided and (name, index) == ("ioctl", 1)
        assert ["which ioctl does not look at" in one for one in found] == [True] * hit
    # And so it is.
    if avoided:
        condition.index, condition.value = 1, 0x5412
        explainer = Explainer(profile(rule), X86_64)
        low, high = (
            explainer.explain(X86_64, 16, dict.fromkeys(range(6), one))[0].value
            for one in (0x5412, 1 << 32 | 0x5412)
        )
        assert low != high


def test_what_the_start_needs() -> None:
    needed = {"read": "every start", "mmap": "a start that waits", "no_such": "x"}
    seccomp = profile(allow("write"), SeccompRule(["mmap"], "SCMP_ACT_TRAP", args=[equal(0, 5)]))
    seccomp.syscalls.append(allow("mmap", args=(SeccompArg(1, 7),)))
    first, second = said(seccomp, **needed)
    told = "is not let through, which"
    assert first == f"e defaultAction: read {told} every start makes under the filter"
    start = "a start that waits makes under the filter (where argument 0 == 0x5)"
    assert second == f"e syscalls[1]: mmap {told} {start}"
    assert said(profile(allow("read", "mmap")), **needed) == []
    log = Seccomp("SCMP_ACT_LOG", syscalls=[SeccompRule(["close"], "SCMP_ACT_TRAP")])
    assert said(log, **needed) == []


def test_what_cannot_be_compiled_is_an_error() -> None:
    bad = [
        profile(SeccompRule(["read"], "SCMP_ACT_X")),
        profile(allow("read", args=(equal(0, 1),)), SeccompRule(["read"], "SCMP_ACT_TRAP")),
        profile(SeccompRule(["read"], "SCMP_ACT_ERRNO", 5000)),
        profile(architectures=["SCMP_ARCH_S390X"]),
    ]
    bad[1].syscalls[1].args = [equal(0, 1)]
    for seccomp, place in zip(
        bad, ("syscalls[0].action", "syscalls[1]", "syscalls[0]", "architectures[0]")
    ):
        (finding,) = lint(seccomp, X86_64, {})
        assert finding.level == "error"
        assert str(finding).startswith(f"{place}: ")


def test_docker_s_profile_is_clean() -> None:
    assert said(engine_profile(DOCKER, "X86_64")) == []

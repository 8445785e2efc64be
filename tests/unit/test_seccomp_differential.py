"""Profiles as libseccomp compiles them, and as we do: what both programs answer to many calls.

Up to the largest number that a profile names on an architecture: ours has ENOSYS above.

libseccomp 2.5 itself gets some calls wrong: those of several rules with conditions
of order (LT, LE, GT, GE), and it may join parts of a program that look alike but
want another word in the accumulator.  So random profiles are held against what their
words say (tests/seccomp/evaluator.py), which ours must always do, and libseccomp's
nearly always.
"""

from __future__ import annotations

import pytest

from libct.config.seccomp import Seccomp, SeccompArg, SeccompRule
from libct.seccomp.actions import answer
from libct.seccomp.architectures import ARCHITECTURES, here, named
from libct.seccomp.compiler import compile_profile
from libct.seccomp.instructions import check
from libct.seccomp.interpreter import call_data, run
from libct.seccomp.rules import meaning, read

from ..needs import requires
from ..seccomp import libseccomp
from ..seccomp.evaluator import verdict
from ..seccomp.profiles import (
    DOCKER,
    FAMILIES,
    PODMAN,
    calls,
    engine_profile,
    random_profile,
    simple,
)
from .test_seccomp_compiler import HOT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from libct.seccomp.architectures import Architecture

    from ..seccomp.profiles import Call


def newest(seccomp: Seccomp, native: Architecture) -> dict[str, int]:
    default = answer(seccomp.default_action, seccomp.default_errno_ret, "")
    rules = read(seccomp, default)
    listed = {one.name: one for one in (native, *map(named, seccomp.architectures))}
    return {name: meaning(rules, one).newest for name, one in listed.items()}


def compared(
    seccomp: Seccomp, native: Architecture, seed: int, count: int
) -> Iterator[tuple[Call, int, int]]:
    """Calls, our answer and libseccomp's."""
    order = native.byte_order
    ours, theirs = compile_profile(seccomp, native), libseccomp.compiled(seccomp, native)
    check(ours)
    check(theirs)
    for call in calls(seccomp, native, newest(seccomp, native), seed, count):
        data = call_data(*call, byte_order=order)
        our, their = run(ours, data, order)[0], run(theirs, data, order)[0]
        # For a machine of the other byte order it writes some of what is returned in ours.
        if order == ">" and their == int.from_bytes(our.to_bytes(4, "little"), "big"):
            their = our
        yield call, our, their


def known(architecture: Architecture, name: str) -> bool:
    """Whether libseccomp has the call there and, where rules are added by number, here."""
    return None not in (libseccomp.number(architecture, name), libseccomp.number(here(), name))


@requires("libseccomp", "podman_profile")
@pytest.mark.parametrize("caps", ["", "CAP_SYS_ADMIN CAP_AUDIT_WRITE CAP_SYS_PTRACE"])
@pytest.mark.parametrize("native", list(FAMILIES))
@pytest.mark.parametrize("path", [DOCKER, PODMAN], ids=["docker", "podman"])
def test_the_profiles_of_engines(path: Path, native: str, caps: str) -> None:
    seccomp = engine_profile(path, native, frozenset(caps.split()))
    tried = list(compared(seccomp, named(native), 1, 600))
    assert len(tried) > 500
    assert [call for call, our, their in tried if our != their] == []


@requires("libseccomp", "podman_profile")
@pytest.mark.parametrize("path", [DOCKER, PODMAN], ids=["docker", "podman"])
def test_hot_calls_are_decided_sooner_than_by_libseccomp(path: Path) -> None:
    machine = named("X86_64")
    seccomp = engine_profile(path, machine.name)
    ours, theirs = compile_profile(seccomp, machine), libseccomp.compiled(seccomp, machine)
    for name in HOT:
        data = call_data(machine.token, machine.numbers()[name])
        (our, steps), (their, more) = run(ours, data), run(theirs, data)
        assert our == their
        assert steps <= min(12, more), name
    assert len(ours) < len(theirs) / 2


def rule(action: str, *conditions: tuple[int, str, int, int], name: str = "read") -> SeccompRule:
    args = [SeccompArg(index, a, b, f"SCMP_CMP_{op}") for index, op, a, b in conditions]
    return SeccompRule([name, "openat2"], f"SCMP_ACT_{action}", args=args)


HAND_MADE = {
    "plain": [rule("ALLOW")],
    "one operator": [rule("ALLOW", (0, "GE", 1 << 32, 0))],
    "and": [rule("LOG", (0, "EQ", 5, 0), (1, "NE", 5, 0), (5, "MASKED_EQ", 0xF0, 0x50))],
    "or": [rule("LOG", (0, "EQ", 5, 0), (0, "EQ", 1, 0))],
    "values": [rule("ALLOW", (0, "EQ", value, 0)) for value in (0, 8, 0x20000, 0xFFFFFFFF)],
    "mask beyond": [rule("ALLOW", (0, "MASKED_EQ", 0xFF, 0x1FF))],
    "no mask": [rule("ALLOW", (0, "MASKED_EQ", 0, 1))],
    "the first plain": [rule("ALLOW"), rule("TRAP")],
    "plain after": [rule("TRAP", (0, "EQ", 5, 0)), rule("ALLOW")],
    "plain before": [rule("ALLOW"), rule("TRAP", (0, "EQ", 5, 0))],
    "default between": [rule("ERRNO", (0, "EQ", 5, 0)), rule("ALLOW", (1, "EQ", 5, 0))],
    "overlapping arguments": [rule("TRAP", (0, "EQ", 5, 0)), rule("ALLOW", (1, "EQ", 5, 0))],
    "overlapping masks": [rule("TRAP", (0, "NE", 0, 0)), rule("ALLOW", (0, "MASKED_EQ", 5, 5))],
    "masks in turn": [rule("ALLOW", (0, "MASKED_EQ", 5, 5)), rule("TRAP", (0, "NE", 0, 0))],
    "overlapping equals": [rule("TRAP", (0, "NE", 5, 0)), rule("ALLOW", (0, "EQ", 1, 0))],
    "overlapping order": [rule("TRAP", (0, "GE", 5, 0)), rule("ALLOW", (0, "GE", 9, 0))],
    "sockets": [rule("ALLOW", (0, "EQ", 1, 0), name="socket"), rule("LOG", name="bind")],
    "ipc": [rule("ALLOW", (1, "EQ", 1, 0), name="shmget"), rule("LOG", name="semop")],
    "all by one": [rule("ALLOW", name="socketcall"), rule("TRAP", name="socket")],
}


@requires("libseccomp")
@pytest.mark.parametrize("native", list(FAMILIES))
@pytest.mark.parametrize("name", list(HAND_MADE))
def test_profiles_by_hand(name: str, native: str) -> None:
    listed = [f"SCMP_ARCH_{one}" for one in FAMILIES[native]]
    rules = [SeccompRule(["getpid"], "SCMP_ACT_ALLOW"), *HAND_MADE[name]]
    for default in ("ERRNO", "KILL_PROCESS", "ALLOW"):
        kept = [one for one in rules if one.action != f"SCMP_ACT_{default}"]
        seccomp = Seccomp(f"SCMP_ACT_{default}", architectures=listed, syscalls=kept)
        tried = list(compared(seccomp, named(native), 2, 150))
        assert [call for call, our, their in tried if our != their] == []


@requires("libseccomp")
def test_random_profiles_with_one_rule_for_a_call() -> None:
    total = wrong = 0
    for seed in range(200):
        seccomp, native = random_profile(seed, known=known)
        seccomp = simple(seccomp)
        for call, our, their in compared(seccomp, native, seed, 150):
            assert our == verdict(seccomp, native, *call), (seed, call)
            total += 1
            wrong += our != their
    assert total > 25_000
    assert wrong < total / 500


@requires("libseccomp")
def test_random_profiles_with_many_rules_for_a_call() -> None:
    total = wrong = 0
    for seed in range(100):
        seccomp, native = random_profile(seed, known=known)
        try:
            tried = list(compared(seccomp, native, seed, 100))
        except libseccomp.Refused:
            continue
        for call, our, their in tried:
            assert our == verdict(seccomp, native, *call), (seed, call)
            total += 1
            wrong += our != their
    assert total > 5_000
    assert wrong < total / 50


def test_random_profiles_mean_what_they_say() -> None:
    """Without libseccomp, so with all names."""
    for seed in range(300, 500):
        seccomp, native = random_profile(seed)
        program = compile_profile(seccomp, native)
        check(program)
        for call in calls(seccomp, native, newest(seccomp, native), seed, 60):
            data = call_data(*call, byte_order=native.byte_order)
            our = run(program, data, native.byte_order)[0]
            assert our == verdict(seccomp, native, *call), (seed, call)


# Names that libseccomp 2.5 does not have, or has another number for.
OTHERS = {("X32", "map_shadow_stack"), ("ARM", "sync_file_range2")}


@requires("libseccomp")
@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"LOONGARCH64"}))
def test_numbers_are_libseccomp_s(name: str) -> None:
    numbers = ARCHITECTURES[name].numbers()
    count = 0
    for call, number in numbers.items():
        theirs = libseccomp.number(ARCHITECTURES[name], call)
        if theirs is not None and theirs >= 0 and (name, call) not in OTHERS:
            assert theirs == number, call
            count += 1
    assert count > 290

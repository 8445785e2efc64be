"""libct's own profile: all calls are decided on, what the reasons say holds, next to Docker's."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from libct.seccomp.actions import ALLOW, ENOSYS, ERRNO
from libct.seccomp.architectures import ARCHITECTURES, OTHERS, named
from libct.seccomp.compiler import compile_profile
from libct.seccomp.default import default_profile
from libct.seccomp.default_calls import ALLOWED, CONDITIONAL, LEFT_OUT
from libct.seccomp.instructions import check
from libct.seccomp.interpreter import call_data, run
from libct.syscalls.constants import CAPABILITIES

from ..needs import requires
from ..seccomp import libseccomp
from ..seccomp.profiles import DOCKER, FAMILIES, calls, engine_profile
from .test_seccomp_compiler import HOT
from .test_seccomp_differential import newest

if TYPE_CHECKING:
    from libct.config.seccomp import Seccomp
    from libct.seccomp.architectures import Architecture
    from libct.seccomp.instructions import Instruction

X86_64 = named("X86_64")
EPERM, EIO, EAFNOSUPPORT = ERRNO | 1, ERRNO | 5, ERRNO | 97
ALL = tuple(CAPABILITIES)


def ask(program: list[Instruction], name: str, *arguments: int, on: Architecture = X86_64) -> int:
    data = call_data(on.token, on.numbers()[name], arguments, byte_order=on.byte_order)
    return run(program, data, on.byte_order)[0]


@pytest.fixture(scope="module")
def program() -> list[Instruction]:
    return compile_profile(default_profile(X86_64), X86_64)


def test_each_call_that_linux_has_is_decided_on_once() -> None:
    decided = Counter([*ALLOWED, *CONDITIONAL, *(n for group in LEFT_OUT for n in group.names)])
    assert {name for name, count in decided.items() if count > 1} == set()
    assert set(decided) == {name for one in ARCHITECTURES.values() for name in one.numbers()}


@pytest.mark.parametrize("capabilities", [(), ALL], ids=["none", "all"])
@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_it_compiles_for_every_machine(name: str, capabilities: tuple[str, ...]) -> None:
    machine = named(name)
    program = compile_profile(default_profile(machine, capabilities), machine)
    check(program)
    assert ask(program, "read", on=machine) == ALLOW
    last = max(n for n in machine.numbers().values() if not 0xF0000 <= n < 0xF0010)
    data = call_data(machine.token, last + 1, byte_order=machine.byte_order)
    answer = run(program, data, machine.byte_order)[0]
    assert answer == (ERRNO | 89 if name.startswith("MIPS") else ENOSYS)


@pytest.mark.parametrize("group", LEFT_OUT, ids=lambda group: group.names[0])
def test_what_is_left_out_is_refused_and_comes_with_its_capability(group: object) -> None:
    of = {name: one for one in ARCHITECTURES.values() for name in one.numbers()}
    of.update(dict.fromkeys(X86_64.numbers(), X86_64))
    for name in group.names:  # type: ignore[attr-defined]
        machine = of[name]
        refused = ERRNO | group.answer  # type: ignore[attr-defined]
        if machine.name.startswith("MIPS") and refused == ENOSYS:
            refused = ERRNO | 89
        assert ask(compile_profile(default_profile(machine), machine), name, on=machine) == refused
        for capability in CAPABILITIES:
            with_it = compile_profile(default_profile(machine, [capability]), machine)
            brings = capability in group.capabilities  # type: ignore[attr-defined]
            assert ask(with_it, name, on=machine) == (ALLOW if brings else refused), capability


def test_a_hot_call_is_decided_in_twelve_instructions(program: list[Instruction]) -> None:
    for name in HOT:
        answer, steps = run(program, call_data(X86_64.token, X86_64.numbers()[name]))
        assert (answer, steps <= 12) == (ALLOW, True), (name, steps)


# What no 32-bit argument of the kernel has: it does not look there.
HIGH = 1 << 32


@pytest.mark.parametrize("high", [0, HIGH, 0xFFFFFFFF << 32])
@pytest.mark.parametrize(
    ("call", "position", "value", "answer"),
    [
        ("clone", 0, 0x01200011, ALLOW),  # fork
        ("clone", 0, 0x003D0F00, ALLOW),  # a thread
        *(("clone", 0, 0x11 | 1 << bit, EPERM) for bit in (17, *range(25, 31))),
        ("socket", 0, 1, ALLOW),
        ("socket", 0, 16, ALLOW),
        ("socket", 0, 38, EAFNOSUPPORT),  # AF_ALG
        ("socket", 0, 40, EAFNOSUPPORT),  # AF_VSOCK
        ("socketpair", 0, 1, ALLOW),
        ("socketpair", 0, 30, EAFNOSUPPORT),  # AF_TIPC
        ("ioctl", 1, 0x5412, EIO),  # TIOCSTI
        ("ioctl", 1, 0x541C, EIO),  # TIOCLINUX
        ("ioctl", 1, 0x5413, ALLOW),  # TIOCGWINSZ
        ("ioctl", 1, 0x80045430, ALLOW),
        ("personality", 0, 0, ALLOW),
        ("personality", 0, 0xFFFFFFFF, ALLOW),
        ("personality", 0, 0x20008, ALLOW),
        ("personality", 0, 0x0040000, EPERM),  # ADDR_NO_RANDOMIZE
        ("personality", 0, 0x0400000, EPERM),  # READ_IMPLIES_EXEC
    ],
)
def test_arguments(
    program: list[Instruction], call: str, position: int, value: int, answer: int, high: int
) -> None:
    arguments = [3] * 6
    arguments[position] = value | high
    assert ask(program, call, *arguments) == answer
    arguments[position] = value
    assert ask(program, call, *arguments, on=named("X86")) == answer


def test_on_s390_the_flags_of_clone_are_its_second_argument() -> None:
    for name in ("S390", "S390X"):
        machine = named(name)
        program = compile_profile(default_profile(machine), machine)
        assert ask(program, "clone", 0x10000000, 0x11, on=machine) == ALLOW
        assert ask(program, "clone", 0, 0x10000011, on=machine) == EPERM


def test_on_mips_typing_into_a_terminal_has_another_number() -> None:
    machine = named("MIPSEL64")
    program = compile_profile(default_profile(machine), machine)
    assert [ask(program, "ioctl", 0, one, on=machine) for one in (0x5472, 0x5412)] == [EIO, ALLOW]


def test_a_family_cannot_be_hidden_in_socketcall() -> None:
    """But where the machine itself has no other way, as s390x with older C libraries."""
    x86 = compile_profile(default_profile(X86_64), X86_64)
    assert ask(x86, "socketcall", 1, on=named("X86")) == ENOSYS
    machine = named("S390X")
    program = compile_profile(default_profile(machine), machine)
    assert ask(program, "socketcall", 1, on=machine) == ALLOW


def test_x32_is_not_listed() -> None:
    for name, others in OTHERS.items():
        listed = default_profile(named(name)).architectures
        assert listed == [f"SCMP_ARCH_{one}" for one in (name, *others) if one != "X32"]


@requires("libseccomp")
@pytest.mark.parametrize("native", sorted(set(FAMILIES) - {"X86"}))
def test_libseccomp_makes_the_same_of_it(native: str) -> None:
    machine = named(native)
    seccomp = default_profile(machine)
    for rule in seccomp.syscalls:
        rule.names[:] = filter(libseccomp.known, rule.names)
    seccomp.syscalls[:] = [rule for rule in seccomp.syscalls if rule.names]
    order = machine.byte_order
    ours, theirs = compile_profile(seccomp, machine), libseccomp.compiled(seccomp, machine)
    count = 0
    for call in calls(seccomp, machine, newest(seccomp, machine), 7, 2000):
        data = call_data(*call, byte_order=order)
        our, their = run(ours, data, order)[0], run(theirs, data, order)[0]
        assert their in (our, int.from_bytes(our.to_bytes(4, "little"), "big")), call
        count += 1
    assert count > 1500


# --- next to Docker's default ---

# What Docker's has and ours has not, for a container without capabilities.
STRICTER = {
    "io_uring_setup io_uring_enter io_uring_register": "newer versions of Docker's leave it out",
    "modify_ldt": "16-bit programs",
    "epoll_ctl_old epoll_wait_old": "no kernel has them: ENOSYS, as there",
    "s390_pci_mmio_read s390_pci_mmio_write": "memory of devices",
    "socketcall": "on machines with other calls: it would hide the family (Docker left it out"
    " in 29.4, and came back to it for games of 32 bits, where AppArmor looks at the family)",
}
# What ours has and Docker's has not.
LOOSER = {
    "process_vm_readv process_vm_writev": "ptrace, which both let through, does the same",
    "pkey_alloc pkey_free pkey_mprotect": "rights to the caller's own memory",
    "cachestat fchmodat2 file_getattr file_setattr getxattrat setxattrat listxattrat"
    " removexattrat": "newer forms of what both let through",
    "futex_wait futex_wake futex_requeue rseq_slice_yield": "newer than that version of Docker's",
    "mseal map_shadow_stack": "newer: make the caller's memory safer",
    "lsm_get_self_attr lsm_set_self_attr lsm_list_modules": "newer: what /proc/self/attr is",
    "statmount listmount": "newer: what /proc/self/mountinfo is",
    "nice sigaction signal sigpending sigsuspend sgetmask ssetmask swapcontext": "older"
    " forms of what both let through, for programs of 32 bits",
    "uprobe uretprobe": "made by the kernel where a tracer has set a probe, and by nobody else",
    "arch_prctl": "with 32-bit machines, too",
    "get_tls cachectl sysmips riscv_flush_icache riscv_hwprobe s390_guarded_storage"
    " s390_sthyi": "what libraries of single processors call",
}
# Let through by both on some conditions, which are the same but for what is said.
BOTH = {
    "clone": "the same flags, but 32 bits are compared, as the kernel does",
    "personality": "the same values, and 32 bits are compared",
}
# By Docker's without conditions, by ours with.
CONDITIONS = {
    "socket socketpair": "families that programs use; newer versions of Docker's leave out two",
    "ioctl": "not what types into a terminal",
}


def of(seccomp: Seccomp) -> tuple[set[str], set[str]]:
    """What is let through always, and on some conditions."""
    allowed = [rule for rule in seccomp.syscalls if rule.action == "SCMP_ACT_ALLOW"]
    always = {name for rule in allowed if not rule.args for name in rule.names}
    return always, {name for rule in allowed for name in rule.names} - always


@pytest.mark.parametrize("native", ["X86_64", "X86", "AARCH64", "S390X", "RISCV64"])
def test_what_differs_from_docker_s_default_is_listed(native: str) -> None:
    machine = named(native)
    exist = {*machine.numbers()}.union(*(named(o).numbers() for o in OTHERS.get(native, ())))
    ours, ours_if = of(default_profile(machine))
    theirs, theirs_if = of(engine_profile(DOCKER, native))

    for names in (ours, ours_if, theirs, theirs_if):
        names &= exist

    def listed(table: dict[str, str]) -> set[str]:
        return {name for names in table for name in names.split()} & exist

    assert (theirs | theirs_if) - (ours | ours_if) == listed(STRICTER) - ours
    assert (ours | ours_if) - (theirs | theirs_if) == listed(LOOSER) - theirs
    assert ours_if & theirs_if == listed(BOTH)
    assert ours_if & theirs == listed(CONDITIONS)
    assert ours & theirs_if == set()

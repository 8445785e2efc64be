"""Device access: what the rules say, what the program says, and what the kernel does."""

from __future__ import annotations

import errno
import json
import os
import random
import stat
from typing import TYPE_CHECKING

import pytest

from libct.bootstrap.context import Context
from libct.cgroups.devices import apply_v1, apply_v2, rules
from libct.cgroups.devices.program import assemble
from libct.cgroups.layout import detect
from libct.config import DeviceRule
from libct.syscalls.constants import RLIM_INFINITY

from ..support import (
    CLONE_NEWCGROUP,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    forked,
    in_namespaces,
    mount,
    requires,
    unique,
)
from ..unit.device_rules import MAJORS, MINORS, random_access, random_rules, run_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..unit.device_rules import Access

pytestmark = requires("root")

ROUNDS = 200
ACCESSES = 25
FORMATS = {"b": stat.S_IFBLK, "c": stat.S_IFCHR}


class Prober:
    """A process in a control group, which tries accesses when it is told to.

    Nodes are made outside of the group, in a tmpfs that is the test's own.
    """

    def __init__(self, procs: str) -> None:
        self.directory = "/tmp"
        mount("tmpfs", self.directory, "tmpfs")
        for type_ in FORMATS:
            for major in MAJORS:
                for minor in MINORS:
                    device = os.makedev(major, minor)
                    os.mknod(self.node(type_, major, minor), FORMATS[type_] | 0o666, device)
        asked_reader, self.asked = os.pipe()
        self.answers, answers_writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                with open(procs, "w") as file:
                    file.write("0")
                os.close(self.asked)
                with open(asked_reader) as asked:
                    for line in asked:
                        answer = [self.attempt(*access) for access in json.loads(line)]
                        os.write(answers_writer, json.dumps(answer).encode() + b"\n")
            finally:
                os._exit(0)
        os.close(asked_reader)
        os.close(answers_writer)

    def node(self, type_: str, major: int, minor: int) -> str:
        return f"{self.directory}/{type_}-{major}-{minor}"

    def attempt(self, type_: str, major: int, minor: int, permissions: str) -> bool:
        """Whether an access is allowed; errors that are not about permission are the device's."""
        try:
            if permissions == "m":
                path = f"{self.directory}/new"
                os.mknod(path, FORMATS[type_] | 0o666, os.makedev(major, minor))
                os.unlink(path)
            elif type_ == "c" and major == 1:
                mode = {"r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}[permissions]
                os.close(os.open(self.node(type_, major, minor), mode | os.O_NONBLOCK))
            else:  # the same check, and the driver is left alone
                mode = sum({"r": os.R_OK, "w": os.W_OK}[letter] for letter in permissions)
                return os.access(self.node(type_, major, minor), mode)
        except PermissionError:
            return False
        except OSError as error:
            if error.errno not in (errno.ENXIO, errno.ENODEV):
                raise
        return True

    def ask(self, accesses: list[Access]) -> list[bool]:
        os.write(self.asked, json.dumps(accesses).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            piece = os.read(self.answers, 65536)
            assert piece, "the prober has died"
            answer += piece
        found: list[bool] = json.loads(answer)
        return found

    def end(self) -> None:
        os.close(self.asked)
        os.close(self.answers)
        os.waitpid(self.pid, 0)


def random_resolved(
    source: random.Random,
) -> Iterator[tuple[list[DeviceRule], str, tuple[str, ...]]]:
    for _ in range(ROUNDS):
        asked = random_rules(source)
        resolved, _ = rules.resolve(asked)
        if resolved is not None:
            yield asked, *resolved


def agree(
    source: random.Random, directory: str, apply: Callable[[str, tuple[str, ...]], None]
) -> int:
    """Compare the three on random rules, applied one after the other to a live group."""
    prober = Prober(f"{directory}/cgroup.procs")
    compared = 0
    try:
        for asked, default, exceptions in random_resolved(source):
            apply(default, exceptions)
            meaning = rules.Access(default)
            meaning.exceptions = dict(map(rules.parse_text, exceptions))
            program = assemble(default, exceptions)
            accesses = [random_access(source) for _ in range(ACCESSES)]
            for access, allowed in zip(accesses, prober.ask(accesses)):
                found = (meaning.allows(*access), bool(run_program(program, access)), allowed)
                assert len(set(found)) == 1, (asked, default, exceptions, access, found)
                compared += 1
    finally:
        prober.end()
    return compared


def v1_group() -> str:
    directory = f"{detect().controllers['devices'].mount}/{unique()}"
    os.mkdir(directory)
    return directory


def in_v2_group(body: Callable[[str], object]) -> object:
    """Run body(directory) with a v2 group of its own, in a private mount namespace."""

    def enter() -> object:
        mount("cgroup2", "/mnt", "cgroup2")
        directory = f"/mnt/{unique()}"
        os.mkdir(directory)
        try:
            return body(directory)
        finally:
            os.rmdir(directory)

    return in_namespaces(CLONE_NEWNS, enter)


@requires("cgroup1")
@pytest.mark.parametrize("seed", [1, 2])
def test_rules_program_and_v1_agree(seed: int) -> None:
    def body() -> int:
        directory = v1_group()
        source = random.Random(seed)

        def apply(default: str, exceptions: tuple[str, ...]) -> None:
            fresh = source.randrange(2)
            args = (directory, default, exceptions, fresh)
            apply_v1.cgroup_devices_v1(Context(), *args)

        try:
            return agree(source, directory, apply)
        finally:
            os.rmdir(directory)

    assert in_namespaces(CLONE_NEWNS, body) > 2000


@requires("cgroup2")
@pytest.mark.parametrize("seed", [1, 2])
def test_rules_program_and_v2_agree(seed: int) -> None:
    def body(directory: str) -> int:
        def apply(default: str, exceptions: tuple[str, ...]) -> None:
            args = (directory, default, exceptions)
            apply_v2.cgroup_devices_v2(Context(), *args)

        return agree(random.Random(seed), directory, apply)

    compared = in_v2_group(body)
    assert isinstance(compared, int)
    assert compared > 2000


def perform_v1(directory: str, default: str, *exceptions: str, fresh: int = 1) -> None:
    apply_v1.cgroup_devices_v1(Context(), directory, default, exceptions, fresh)


@pytest.fixture
def nested() -> Iterator[tuple[str, str]]:
    """A group of the devices controller and one below it."""
    directory = v1_group()
    below = f"{directory}/below"
    os.mkdir(below)
    yield directory, below
    os.rmdir(below)
    os.rmdir(directory)


@requires("cgroup1")
def test_v1_cannot_change_the_default_with_groups_below(nested: tuple[str, str]) -> None:
    directory, below = nested
    perform_v1(directory, "allow", fresh=0)
    perform_v1(below, "deny", "c 1:5 rw")
    perform_v1(below, "deny", "c 1:5 rw", "c 1:3 r", fresh=0)
    with pytest.raises(OSError, match="Invalid argument") as caught:
        perform_v1(directory, "deny")
    assert "while there are groups below" in vars(caught.value)["hint"]


@requires("cgroup1")
def test_v1_cannot_allow_what_the_group_above_denies() -> None:
    directory = v1_group()
    below = f"{directory}/below"
    try:
        perform_v1(directory, "deny", "c 1:3 r")
        os.mkdir(below)
        perform_v1(below, "deny", "c 1:3 r")
        with pytest.raises(PermissionError) as caught:
            perform_v1(below, "deny", "c 1:3 w")
        assert "group above" in vars(caught.value)["hint"]
    finally:
        os.rmdir(below)
        os.rmdir(directory)


@requires("cgroup2")
def test_a_v2_group_has_one_program_whatever_it_had_before() -> None:
    from libct.syscalls import bpf

    def body(directory: str) -> None:
        group = os.open(directory, os.O_RDONLY)

        def present() -> list[int]:
            return bpf.prog_query(group)[1]

        def apply(default: str, *exceptions: str) -> None:
            apply_v2.cgroup_devices_v2(Context(), directory, default, exceptions)

        apply("allow")
        assert present() == []  # nothing is limited, so nothing runs
        apply("deny", "c 1:3 rwm")
        (first,) = present()
        apply("deny")
        (second,) = present()
        assert first != second
        for _ in range(3):  # somebody else's
            program = bpf.prog_load(assemble("allow", ()))
            bpf.prog_attach(group, program, flags=bpf.BPF_F_ALLOW_MULTI)
            os.close(program)
        assert len(present()) == 4
        apply("deny", "c 1:5 r")
        assert len(present()) == 1
        apply("allow")
        assert present() == []
        os.close(group)

    in_v2_group(body)


@requires("cgroup2")
def test_the_same_rules_leave_the_program_that_is_there() -> None:
    """It is what is attached that is compared: another program, or none, is replaced."""
    from libct.syscalls import bpf

    def body(directory: str) -> None:
        group = os.open(directory, os.O_RDONLY)

        def apply(*exceptions: str) -> list[int]:
            """The programs after it, of which there is one."""
            apply_v2.cgroup_devices_v2(Context(), directory, "deny", exceptions)
            return bpf.prog_query(group)[1]

        first = apply("c 1:3 rwm", "c 1:5 r")
        assert len(first) == 1
        assert apply("c 1:3 rwm", "c 1:5 r") == first
        second = apply("c 1:3 rwm")
        assert second != first
        loaded = bpf.prog_get_fd_by_id(second[0])
        bpf.prog_detach(group, loaded)
        os.close(loaded)
        third = apply("c 1:3 rwm")
        assert len(third) == 1
        assert third != second
        os.close(group)

    in_v2_group(body)


@requires("cgroup2")
@pytest.mark.parametrize("kind", [0, 1])  # none, BPF_F_ALLOW_OVERRIDE
def test_a_program_that_allows_no_others_is_replaced_at_once(kind: int) -> None:
    from libct.syscalls import bpf

    def body(directory: str) -> None:
        group = os.open(directory, os.O_RDONLY)
        theirs = bpf.prog_load(assemble("allow", ()))
        bpf.prog_attach(group, theirs, flags=kind)
        os.close(theirs)
        (before,) = bpf.prog_query(group)[1]
        apply_v2.cgroup_devices_v2(Context(), directory, "deny", ("c 1:3 r",))
        (after,) = bpf.prog_query(group)[1]
        assert after != before
        apply_v2.cgroup_devices_v2(Context(), directory, "allow", ())
        assert bpf.prog_query(group)[1] == []
        os.close(group)

    in_v2_group(body)


@requires("cgroup2", "userns")
def test_without_permission_a_program_is_left_out_if_it_may_be() -> None:
    def inside() -> None:
        place = "/mnt"
        mount("cgroup2", place, "cgroup2")
        args = (place, "deny", ("c 1:3 r",))
        apply_v2.cgroup_devices_v2(Context(), *args, 1)
        with pytest.raises(PermissionError) as caught:
            apply_v2.cgroup_devices_v2(Context(), *args, 0)
        assert "in a user namespace" in vars(caught.value)["hint"]

    in_namespaces(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP, inside)


@requires("cgroup2")
def test_who_has_no_right_is_told_which() -> None:
    def body(directory: str) -> None:
        def attempt() -> None:
            os.setresuid(1000, 1000, 1000)
            with pytest.raises(PermissionError) as caught:
                apply_v2.cgroup_devices_v2(Context(), directory, "deny", ())
            assert "need CAP_BPF and CAP_NET_ADMIN" in vars(caught.value)["hint"]

        forked(attempt)

    in_v2_group(body)


@requires("cgroup2")
def test_a_limit_of_locked_memory_is_no_hindrance() -> None:
    """Before Linux 5.11 programs counted, and the default limit was too low."""
    import resource

    def body(directory: str) -> None:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        apply_v2.cgroup_devices_v2(Context(), directory, "deny", ())
        assert resource.getrlimit(resource.RLIMIT_MEMLOCK) == (0, 0)

    in_v2_group(body)


def test_locked_memory_is_allowed_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """On such a kernel, where the hard limit may be raised and where not."""
    from libct.syscalls import bpf

    unlimited = (RLIM_INFINITY, RLIM_INFINITY)
    for may_raise in (True, False):
        limits = [(1000, 2000)]

        def load(program: bytes, name: str, limits: list[tuple[int, int]] = limits) -> int:
            if limits[-1][0] == 1000:
                raise PermissionError(errno.EPERM, "bpf")
            return 5

        def prlimit(
            pid: int,
            resource: int,
            *to: int,
            limits: list[tuple[int, int]] = limits,
            may_raise: bool = may_raise,
        ) -> tuple[int, int]:
            if to == unlimited and not may_raise:
                raise PermissionError(errno.EPERM, "prlimit64")
            if to:
                limits.append((to[0], to[1]))
            return limits[-1]

        with monkeypatch.context() as patch:
            patch.setattr(bpf, "prog_load", load)
            patch.setattr(apply_v2, "prlimit", prlimit)
            assert apply_v2._load(b"") == 5
        assert limits == [(1000, 2000), unlimited if may_raise else (2000, 2000), (1000, 2000)]

"""What to do about failed steps, as far as it can be told from outside of them."""

from __future__ import annotations

import errno
import posix
from typing import TYPE_CHECKING, Any

import pytest

from libct.bootstrap import hints
from libct.bootstrap.failure import Failure
from libct.bootstrap.hints import hint_for
from libct.bootstrap.started import step_error
from libct.plan import container as container  # what steps are called
from libct.plan.namespaces import clone_init, unshare_user
from libct.plan.network import get_network
from libct.plan.step import INIT, OPERATIONS, Plan, Step
from libct.syscalls.namespaces import CLONE_NEWNS, CLONE_NEWUSER

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """The files that are looked at, given as text; all others are not there."""

    def give(found: dict[str, str]) -> None:
        monkeypatch.setattr(hints, "_read", lambda path: found.get(path, ""))

    return give


def hint(step: Step, code: int | None) -> str:
    return hint_for(step, Failure(1, code, "open_tree(...)", "text"))


NEW_USER = clone_init(CLONE_NEWUSER | CLONE_NEWNS, False)
NEW_MOUNTS = clone_init(CLONE_NEWNS, False)


def test_namespaces_that_are_used_up(files: Callable[[dict[str, str]], None]) -> None:
    files({"/proc/sys/user/max_net_namespaces": "0", "/proc/sys/user/max_user_namespaces": "9"})
    assert hint(mount("tmpfs"), errno.ENOSPC) == ""
    for step in (NEW_USER, unshare_user(), get_network(), mount("proc")):
        for code in (errno.ENOSPC, errno.EUSERS):
            assert hint(step, code) == (
                "/proc/sys/user/max_net_namespaces is 0: write a larger number to it"
            )
    files({})
    assert hint(NEW_USER, errno.ENOSPC) == (
        "a limit is reached: see /proc/sys/user/max_*_namespaces"
    )


def test_user_namespaces_that_are_forbidden(
    files: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    files({"/proc/sys/kernel/unprivileged_userns_clone": "0"})
    assert "sysctl kernel.unprivileged_userns_clone=1" in hint(NEW_USER, errno.EPERM)
    files({})
    assert "a seccomp filter, a chroot or a security module" in hint(NEW_USER, errno.EPERM)
    monkeypatch.setattr(posix, "geteuid", lambda: 1000)
    assert hint(NEW_MOUNTS, errno.EPERM).startswith("an ordinary user needs a user namespace")


def test_a_surrounding_container_that_refuses(files: Callable[[dict[str, str]], None]) -> None:
    files({"/proc/self/status": "Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1"})
    for step, code in ((NEW_USER, errno.EPERM), (NEW_USER, errno.ENOSYS), (Step("pivot"), 38)):
        assert hint(step, code).startswith("the surrounding container refuses it: libct itself")
    failure = Failure(1, errno.EPERM, "pivot_root('.', '.')", "text")
    assert hint_for(Step("pivot"), failure).startswith("the surrounding container refuses it")
    failure = Failure(1, errno.EPERM, "setuid(1)", "text")
    assert hint_for(Step("become_user"), failure) == ""
    files({"/proc/self/status": "Name:\tx\nSeccomp:\t0\nSeccomp_filters:\t0"})
    assert "a chroot or a security module" in hint(NEW_USER, errno.EPERM)
    assert hint(NEW_USER, errno.ENOSYS).startswith("this kernel is too old, or a seccomp filter")


def mount(fstype: str) -> Step:
    return Step("mount_filesystem", ("/target", fstype))


APPARMOR = {
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    "/proc/self/attr/current": "unconfined\n",
}
MAP = Step("write_id_map", ("uid_map", "0 1000 1"))


def of_apparmor(step: Step, code: int, call: str) -> str:
    plan = Plan()
    plan.add(INIT, "clone", [NEW_USER, MAP, mount("tmpfs")])
    return hint_for(step, Failure(1, code, call, "text"), plan)


REFUSED: list[tuple[Step, int, str]] = [
    (NEW_USER, errno.EACCES, "clone3({flags=CLONE_NEWUSER})"),
    (NEW_USER, errno.EPERM, "clone3({flags=CLONE_NEWUSER})"),
    (NEW_USER, errno.EACCES, "clone3({flags=CLONE_NEWUSER|CLONE_INTO_CGROUP})"),
    (MAP, errno.EPERM, "write(3)"),
    (Step("deny_setgroups"), errno.EPERM, "write(3)"),
    (mount("tmpfs"), errno.EPERM, "fsmount(3)"),
    (Step("bind_root", ("/",)), errno.EACCES, 'mount("/")'),
]


def test_user_namespaces_that_apparmor_restricts(
    files: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Ubuntu it is a step after the clone that fails."""

    def told() -> set[bool]:
        return {"a profile with userns" in of_apparmor(*each) for each in REFUSED}

    files(APPARMOR)
    monkeypatch.setattr(posix, "geteuid", lambda: 0)
    assert told() == {False}  # root's are not restricted
    monkeypatch.setattr(posix, "geteuid", lambda: 1000)
    assert told() == {True}
    assert "profile" not in of_apparmor(Step("bind", ("/x", "/y")), errno.EACCES, "open_tree(3)")
    assert "profile" not in of_apparmor(mount("tmpfs"), errno.EBUSY, "fsmount(3)")
    files({**APPARMOR, "/proc/self/attr/current": "libct (unconfined)\n"})
    assert told() == {False}
    files({})
    assert told() == {False}


@pytest.mark.parametrize("user", [0, 1000])
def test_a_profile_of_apparmor_that_libct_runs_under(
    user: int, files: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posix, "geteuid", lambda: user)
    files({"/proc/self/attr/current": "docker-default (enforce)\n"})
    for each in REFUSED:
        assert of_apparmor(*each).endswith("has to allow it: docker-default (enforce)")
    assert "enforce" not in of_apparmor(Step("bind", ("/x", "/y")), errno.EACCES, "open_tree(3)")
    files({"/proc/self/attr/current": "docker-default (complain)\n"})
    assert not any("complain" in of_apparmor(*each) for each in REFUSED)


def test_root_of_a_namespace_above_that_may_not_be_mapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix, "geteuid", lambda: 0)
    assert "CAP_SETFCAP" in hint(MAP, errno.EPERM)
    monkeypatch.setattr(posix, "geteuid", lambda: 1000)
    assert hint(MAP, errno.EPERM) == ""


CASES: list[tuple[Step, int, str]] = [
    (NEW_USER, errno.EAGAIN, "too many processes: RLIMIT_NPROC"),
    (NEW_USER, errno.EINVAL, "this kernel lacks one of these namespaces"),
    (mount("proc"), errno.EPERM, "proc in a user namespace needs a new pid namespace, and a host"),
    (mount("sysfs"), errno.EPERM, "sysfs in a user namespace needs a new network namespace"),
    (mount("mqueue"), errno.EPERM, "mqueue in a user namespace needs a new ipc namespace"),
    (mount("tmpfs"), errno.EPERM, ""),
    (mount("zfs"), errno.ENODEV, "this kernel has no file system 'zfs': see /proc/filesystems"),
    (Step("bind_root", ("/x",)), errno.ENOENT, "root.path of the configuration must be an exist"),
    (Step("open_root", ("/x",)), errno.ENOENT, "root.path of the configuration must be an exist"),
    (Step("bind", ("/x", "/y")), errno.ENOENT, "the source of a bind mount must exist"),
    (Step("open_idmapped", ("a", "/y")), errno.ENOENT, "the source of a bind mount must exist"),
    (Step("open_idmapped", ("a", "/y")), errno.EACCES, ""),
    (
        Step("open_source", ("a", "/y")),
        errno.EACCES,
        "the container's root is a user of the",
    ),
    (Step("cgroup_mkdir", ("/x", "y")), errno.EACCES, "no right to this control group"),
    (Step("cgroup_write", ("/x", "1")), errno.EROFS, "no right to this control group"),
    (Step("pivot"), errno.ENOSYS, "this kernel is too old, or a seccomp filter hides the call"),
    (Step("pivot"), errno.EINVAL, ""),
    (Step("become_user"), errno.EPERM, ""),
]


@pytest.mark.parametrize(("step", "code", "text"), CASES)
def test_hints(step: Step, code: int, text: str) -> None:
    assert step.op in OPERATIONS or step.op.startswith("cgroup")
    found = hint(step, code)
    assert found.startswith(text)
    assert bool(found) == bool(text)


def test_only_of_its_source_is_a_bind_told_that_it_must_exist() -> None:
    for op in ("bind", "open_source", "take_source", "open_idmapped"):
        failure = Failure(1, errno.ENOENT, "openat(...)", "text")  # of a user namespace, or a place
        assert hint_for(Step(op, ("a", "/y")), failure) == ""


def test_an_error_tells_all_that_is_known() -> None:
    plan = Plan()
    plan.add(INIT, "rootfs", [Step("open_proc"), Step("pivot", (), "root.path")])
    values: dict[str, Any] = {"errno": 22, "call": "pivot_root('.', '.')"}
    failure = Failure(2, values["errno"], values["call"], "Invalid argument", "/old", "look there")
    error = step_error(plan, failure, [(1, 0, 0, "ok")])
    assert (error.number, error.total, error.process, error.phase) == (2, 2, "init", "rootfs")
    assert (error.op, error.call, error.errno, error.strerror, error.path) == (
        "pivot",
        "pivot_root('.', '.')",
        22,
        "Invalid argument",
        "/old",
    )
    assert (error.place, error.hint, error.traces) == (
        "root.path",
        "look there",
        [(1, 0, 0, "ok")],
    )
    assert str(error) == (
        "cannot make the rootfs the root directory by pivot_root: pivot_root('.', '.'):"
        " Invalid argument: '/old' (look there) [step 2 of 2, from root.path]"
    )


def test_a_failed_step_without_an_errno() -> None:
    plan = Plan()
    plan.add(INIT, "process", [Step("find_command", ("x", ""))])
    error = step_error(plan, Failure(1, None, "", "it is not there"), [])
    assert str(error) == "cannot find the command x: it is not there [step 1 of 1]"
    assert (error.errno, error.call, error.path, error.hint) == (None, "", None, "")


def test_what_landlock_may_forbid() -> None:
    command, enter = Step("execute", (("true",), ())), Step("landlock_restrict", (False,))
    failure = Failure(1, errno.EACCES, "", "text")
    plan = Plan()
    plan.add(INIT, "start", [command])
    assert hint_for(command, failure, plan) == ""
    plan.add(INIT, "process", [enter])
    assert "both `execute` and `read`" in hint_for(command, failure, plan)
    assert "noNewPrivileges" in hint_for(enter, Failure(1, errno.EPERM, "", "text"))


def test_a_clone_into_a_group_that_is_elsewhere_names_the_group() -> None:
    plan = Plan()
    plan.add(INIT, "clone", [clone_init(CLONE_NEWNS, True, why="linux.namespaces")])
    call = "clone3({flags=CLONE_NEWNS|CLONE_INTO_CGROUP})"
    error = step_error(plan, Failure(1, errno.EACCES, call, "permission denied"), [])
    assert error.place == "linux.cgroupsPath"
    assert "start libct in the delegated group" in error.hint
    error = step_error(plan, Failure(1, errno.EAGAIN, call, "try again"), [])
    assert error.place == "linux.namespaces"

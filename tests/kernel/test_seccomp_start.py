"""Containers under a filter of system calls."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest

import libct
from libct.bootstrap.waiting import can_wait
from libct.config.hooks import Hook, Hooks
from libct.config.namespace import NEWPID
from libct.config.seccomp import Seccomp, SeccompRule
from libct.errors import ConfigError, Unsupported
from libct.plan.seccomp import AFTER, AFTER_HOOKS, AFTER_WAIT
from libct.seccomp.architectures import named
from libct.seccomp.compiler import compile_profile
from libct.seccomp.instructions import encode
from libct.syscalls.process import set_no_new_privs
from libct.syscalls.seccomp import Filter, seccomp_set_mode_filter

from ..bundles import change_config, make_bundle
from ..commands import libct as libct_command
from ..containers import PATH, USUAL, make_config, run_in, running, shared_rootfs, state_directory
from ..names import unique
from ..needs import requires
from ..processes import forked
from ..seccomp.profiles import DOCKER, engine_profile

pytestmark = requires("root")


def docker() -> Seccomp:
    return engine_profile(DOCKER, "X86_64")


def refusing(*names: str, **more: Any) -> Seccomp:
    rule = SeccompRule(list(names), "SCMP_ACT_ERRNO", errno.EXDEV)
    return Seccomp("SCMP_ACT_ALLOW", syscalls=[rule], **more)


def config_of(seccomp: Seccomp, **more: Any) -> libct.Config:
    return make_config(seccomp=seccomp, no_new_privileges=True, **more)


@pytest.mark.parametrize("way", ["first", "waiting", "further"])
def test_a_call_that_is_forbidden_fails_inside(way: str) -> None:
    config = config_of(refusing("mkdir", "mkdirat"))
    command = ("sh", "-c", "grep Seccomp: /proc/self/status; mkdir /dev/x || true")
    if way == "further":
        with running(config) as container:
            output = run_in(container, *command).output
    else:
        with libct.create(state_directory(), unique(), config) as container:
            output = first(container, command, waiting=way == "waiting")
    assert output.split()[:2] == ["Seccomp:", "2"]
    assert "nvalid cross-device link" in output


def first(container: libct.Container, command: tuple[str, ...], *, waiting: bool) -> str:
    if not waiting:
        done = run_in(container, *command, init=True)
        assert done.state.exit_code == 0
        return done.output
    with tempfile.TemporaryFile("w+") as file:
        process = libct.Process(
            command, init=True, env=[PATH], stdin=file, stdout=file, stderr=file
        )
        container.start(process)
        container.exec()
        assert process.wait(60).exit_code == 0
        file.seek(0)
        return file.read()


@pytest.mark.parametrize("way", ["first", "waiting"])
def test_containers_start_under_docker_s_default_profile(way: str) -> None:
    with libct.create(state_directory(), unique(), config_of(docker())) as container:
        command = ("sh", "-c", "mount -t tmpfs none /dev || echo refused; id -u")
        output = first(container, command, waiting=way == "waiting")
    assert "refused" in output
    assert output.endswith("0\n")


def test_further_processes_start_under_docker_s_default_profile() -> None:
    with running(config_of(docker())) as container:
        assert run_in(
            container, "sh", "-c", "mount -t tmpfs none /dev || echo refused"
        ).output.endswith("refused\n")


@pytest.mark.parametrize("way", ["first", "waiting"])
def test_who_is_cloned_into_a_pid_namespace_with_others_is_under_the_filter(way: str) -> None:
    with running(make_config()) as other:
        space = f"/proc/{other.processes()[0]}/ns/pid"
        spaces = [*(one for one in USUAL if one != NEWPID), (NEWPID, space)]
        config = config_of(refusing("mkdir", "mkdirat"), namespaces=spaces)
        with libct.create(state_directory(), unique(), config) as container:
            command = ("sh", "-c", "mkdir /dev/x || true")
            output = first(container, command, waiting=way == "waiting")
    assert "nvalid cross-device link" in output


def test_who_waits_is_under_the_filter_already() -> None:
    with libct.create(state_directory(), unique(), config_of(docker())) as container:
        process = libct.Process(["true"], init=True, env=[PATH])
        container.start(process)
        with open(f"/proc/{process.pid}/status") as status:
            assert "Seccomp:\t2\n" in status.read()
        container.exec()
        process.wait(60)


@pytest.mark.parametrize("way", ["first", "waiting"])
def test_a_filter_that_cannot_be_loaded_fails_the_start(way: str) -> None:
    """Under one that refuses seccomp(2), as a sandbox around libct may have it."""
    outer = refusing("seccomp")

    def body() -> str:
        set_no_new_privs()
        program = compile_profile(outer, named("X86_64"))
        seccomp_set_mode_filter(Filter(encode(program)))
        with libct.create(state_directory(), unique(), config_of(docker())) as container:
            process = libct.Process(["true"], init=True, env=[PATH])
            with pytest.raises(libct.StepError, match="cannot filter system calls") as caught:
                (container.start if way == "waiting" else container.run)(process)
            return str(caught.value)

    assert "seccomp(SECCOMP_SET_MODE_FILTER" in forked(body)


# What busybox calls to do nothing.
_TRUE = (
    *("mprotect", "brk", "mmap", "munmap", "readlink", "getuid", "prctl", "arch_prctl"),
    *("set_tid_address", "exit_group", "set_robust_list", "prlimit64", "getrandom", "rseq"),
)


@pytest.mark.parametrize("way", ["first", "waiting", "hooks"])
def test_few_calls_are_made_under_the_filter(way: str) -> None:
    """With musl, where Python itself waits, a wait takes no more than a start that does not."""
    contexts = AFTER_WAIT if can_wait() else ()
    further = {"first": (), "waiting": contexts, "hooks": AFTER_HOOKS}[way]
    rule = SeccompRule([*_TRUE, *AFTER, *further], "SCMP_ACT_ALLOW")
    hooks = Hooks(start_container=[Hook("/bin/true", ["true"])]) if way == "hooks" else None
    config = config_of(Seccomp("SCMP_ACT_KILL_PROCESS", syscalls=[rule]), hooks=hooks)
    with libct.create(state_directory(), unique(), config) as container:
        assert first(container, ("true",), waiting=way != "first") == ""


def test_a_profile_that_cannot_be_compiled_is_refused_with_its_place() -> None:
    seccomp = Seccomp("SCMP_ACT_ERRNO", default_errno_ret=5000)
    with (
        pytest.raises(ConfigError, match=r"linux\.seccomp.*defaultAction: SCMP_ACT_ERRNO takes"),
        running(config_of(seccomp)),
    ):
        pass


def test_what_is_not_done_yet_is_refused() -> None:
    with (
        pytest.raises(Unsupported, match="without process"),
        running(make_config(seccomp=docker())),
    ):
        pass
    notify = Seccomp(
        "SCMP_ACT_ALLOW",
        listener_path="/run/x",
        syscalls=[SeccompRule(["mkdir"], "SCMP_ACT_NOTIFY")],
    )
    with (
        pytest.raises(Unsupported, match=r"syscalls\[0\].action: not supported yet"),
        running(config_of(notify)),
    ):
        pass
    with running(config_of(docker())) as container, pytest.raises(Unsupported, match="without"):
        run_in(container, "true", no_new_privileges=False)


def test_a_bundle_with_a_profile(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, rootfs=shared_rootfs(), args=["sleep", "60"])
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    change_config(bundle, linux={"seccomp": profile}, process={"noNewPrivileges": True})
    name = unique()
    libct_command("run", "-d", "-b", bundle, name, check=True)
    try:
        done = libct_command("exec", name, "mkdir", "/dev/x")
        assert "nvalid cross-device link" in done.stderr
        planned = libct_command("plan", "-b", bundle, check=True).stdout
        assert "filter system calls" in planned
    finally:
        libct_command("delete", "--force", name, check=True)

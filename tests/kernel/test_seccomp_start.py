"""Containers under a filter of system calls."""

from __future__ import annotations

import base64
import errno
import tempfile
from pathlib import Path
from typing import Any

import pytest

import libct
from libct.bootstrap import lined_up
from libct.bootstrap.listening import pair
from libct.config import Capabilities, Hook, Hooks
from libct.config.namespace import NEWPID, NEWUSER
from libct.config.seccomp import Seccomp, SeccompArg, SeccompRule
from libct.errors import ConfigError
from libct.plan.seccomp import AFTER, AFTER_CLONE, AFTER_RIGHTS, AFTER_WAIT
from libct.seccomp.architectures import named
from libct.seccomp.compiler import compile_profile
from libct.seccomp.instructions import encode
from libct.syscalls.constants import CAPABILITIES
from libct.syscalls.credentials import capget, capset
from libct.syscalls.process import capbset_drop, set_no_new_privs
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


def config_of(seccomp: Seccomp, *, last: bool = True, **more: Any) -> libct.Config:
    """last: the filter is the last that a process is given, for it has no_new_privs."""
    return make_config(seccomp=seccomp, no_new_privileges=last, **more)


either = pytest.mark.parametrize("last", [True, False], ids=["no_new_privs", "rights"])


@either
@pytest.mark.parametrize("way", ["first", "waiting", "further"])
def test_a_call_that_is_forbidden_fails_inside(way: str, last: bool) -> None:
    config = config_of(refusing("mkdir", "mkdirat"), last=last)
    command = ("sh", "-c", "grep Seccomp: /proc/self/status; mkdir /dev/x || true")
    if way == "further":
        with running(config) as container:
            output = run_in(container, *command).output
    else:
        with libct.create(state_directory(), unique(), config) as container:
            output = first(container, command, waiting=way == "waiting")
    assert output.split()[:2] == ["Seccomp:", "2"]
    assert "nvalid cross-device link" in output


def first(
    container: libct.Container, command: tuple[str, ...], *, waiting: bool, **more: Any
) -> str:
    if not waiting:
        done = run_in(container, *command, init=True, **more)
        return done.output
    with tempfile.TemporaryFile("w+") as file:
        process = libct.Process(
            command, init=True, env=[PATH], stdin=file, stdout=file, stderr=file, **more
        )
        container.start(process)
        container.exec()
        process.wait(60)
        file.seek(0)
        return file.read()


@either
@pytest.mark.parametrize("way", ["first", "waiting"])
def test_containers_start_under_docker_s_default_profile(way: str, last: bool) -> None:
    with libct.create(state_directory(), unique(), config_of(docker(), last=last)) as container:
        command = ("sh", "-c", "mount -t tmpfs none /dev || echo refused; id -u")
        output = first(container, command, waiting=way == "waiting")
    assert "refused" in output
    assert output.endswith("0\n")


@either
def test_further_processes_start_under_docker_s_default_profile(last: bool) -> None:
    with running(config_of(docker(), last=last)) as container:
        assert run_in(
            container, "sh", "-c", "mount -t tmpfs none /dev || echo refused"
        ).output.endswith("refused\n")


@either
@pytest.mark.parametrize("way", ["first", "waiting"])
def test_who_is_cloned_into_a_pid_namespace_with_others_is_under_the_filter(
    way: str, last: bool
) -> None:
    with running(make_config()) as other:
        space = f"/proc/{other.processes()[0]}/ns/pid"
        spaces = [*(one for one in USUAL if one != NEWPID), (NEWPID, space)]
        config = config_of(refusing("mkdir", "mkdirat"), last=last, namespaces=spaces)
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


def strict(waiting: bool, last: bool, *more: str) -> Seccomp:
    # (With musl Python itself waits, which takes no more.)
    calls = [*_TRUE, *AFTER, *(AFTER_WAIT if waiting and lined_up.available() else ()), *more]
    calls += [] if last else AFTER_RIGHTS
    rule = SeccompRule(calls, "SCMP_ACT_ALLOW")
    return Seccomp("SCMP_ACT_KILL_PROCESS", syscalls=[rule])


@either
@pytest.mark.parametrize("way", ["first", "waiting"])
def test_few_calls_are_made_under_the_filter(way: str, last: bool) -> None:
    config = config_of(strict(way == "waiting", last), last=last)
    with libct.create(state_directory(), unique(), config) as container:
        assert first(container, ("true",), waiting=way == "waiting") == ""


@either
@pytest.mark.parametrize("way", ["first", "waiting"])
def test_few_calls_are_made_under_the_filter_by_who_is_cloned_late(way: str, last: bool) -> None:
    with running(make_config()) as other:
        space = f"/proc/{other.processes()[0]}/ns/pid"
        spaces = [*(one for one in USUAL if one != NEWPID), (NEWPID, space)]
        more = () if last else AFTER_CLONE
        config = config_of(strict(way == "waiting", last, *more), last=last, namespaces=spaces)
        with libct.create(state_directory(), unique(), config) as container:
            assert first(container, ("true",), waiting=way == "waiting") == ""


def sets_of(text: str) -> dict[str, int]:
    lines = (line.split(":") for line in text.splitlines() if line.startswith("Cap"))
    return {name: int(value, 16) for name, value in lines}


NET_BIND = ["CAP_NET_BIND_SERVICE"]
GIVEN = {
    "few": Capabilities(bounding=["CAP_KILL"], effective=["CAP_KILL"], permitted=["CAP_KILL"]),
    "ambient": Capabilities(
        bounding=["CAP_CHOWN", *NET_BIND],
        permitted=["CAP_CHOWN", *NET_BIND],
        inheritable=NET_BIND,
        ambient=NET_BIND,
    ),
    "enough": Capabilities(
        bounding=["CAP_SYS_ADMIN"], effective=["CAP_SYS_ADMIN"], permitted=["CAP_SYS_ADMIN"]
    ),
    "not effective": Capabilities(bounding=["CAP_SYS_ADMIN"], permitted=["CAP_SYS_ADMIN"]),
    "none": None,
}


@pytest.mark.parametrize("users", [False, True], ids=["", "userns"])
@pytest.mark.parametrize("user", ["", "1000:1000"])
@pytest.mark.parametrize("given", GIVEN)
def test_the_right_to_load_the_filter_is_given_up(given: str, user: str, users: bool) -> None:
    spaces = [*USUAL, *([NEWUSER] if users else [])]
    command = ("grep", "Cap", "/proc/self/status")
    found = []
    for seccomp in (None, docker()):
        config = make_config(seccomp=seccomp, capabilities=GIVEN[given], namespaces=spaces)
        with running(config) as container:
            further = run_in(container, *command, user=user).output
        first = run_in_new(config, command, user)
        found.append((sets_of(first), sets_of(further)))
    assert found[0] == found[1]
    assert found[0][0] == found[0][1]


def test_who_waits_has_not_got_the_right_any_more() -> None:
    """Others may be there by then, who might trace it: exec works in a created container."""
    config = make_config(seccomp=docker(), capabilities=GIVEN["few"])
    with libct.create(state_directory(), unique(), config) as container:
        process = libct.Process(["true"], init=True, env=[PATH])
        container.start(process)
        found = sets_of(Path(f"/proc/{process.pid}/status").read_text())
        container.exec()
        process.wait(60)
    kill = 1 << CAPABILITIES["CAP_KILL"]
    assert found == {"CapInh": 0, "CapPrm": kill, "CapEff": kill, "CapBnd": kill, "CapAmb": 0}


def run_in_new(config: libct.Config, command: tuple[str, ...], user: str) -> str:
    with libct.create(state_directory(), unique(), config) as container:
        return run_in(container, *command, init=True, user=user).output


def test_without_the_right_to_load_it_the_start_is_refused_by_name() -> None:
    def body() -> str:
        effective, permitted, inheritable = capget()
        less = ~(1 << CAPABILITIES["CAP_SYS_ADMIN"])
        capset(effective & less, permitted & less, inheritable)
        capbset_drop(CAPABILITIES["CAP_SYS_ADMIN"])
        config = make_config(namespaces=[], mounts=[], devices=[], seccomp=docker())
        with libct.create(state_directory(), unique(), config) as container:
            with pytest.raises(ConfigError) as caught:
                container.run(libct.Process(["true"], init=True, env=[PATH]))
            return str(caught.value)

    assert "linux.seccomp: libct needs CAP_SYS_ADMIN for it" in forked(body)


def test_a_profile_that_cannot_be_compiled_is_refused_with_its_place() -> None:
    seccomp = Seccomp("SCMP_ACT_ERRNO", default_errno_ret=5000)
    with (
        pytest.raises(ConfigError, match=r"linux\.seccomp.*defaultAction: SCMP_ACT_ERRNO takes"),
        running(config_of(seccomp)),
    ):
        pass


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


@pytest.mark.parametrize("way", ["first", "waiting", "further"])
def test_a_filter_that_fakes_a_call_of_the_start_is_refused(way: str) -> None:
    seccomp = Seccomp(
        "SCMP_ACT_ALLOW", syscalls=[SeccompRule(["close_range"], "SCMP_ACT_ERRNO", 0)]
    )
    refused = pytest.raises(
        ConfigError, match=r"linux\.seccomp: .*fakes the success of close_range"
    )
    if way == "further":
        with running(make_config()) as container:
            record = container._has.record
            record.config.seccomp, record.config.no_new_privileges = seccomp, True
            with container._has.directory.lock() as held:
                held.write(record)
            with refused:
                run_in(container, "true")
    else:
        with libct.create(state_directory(), unique(), config_of(seccomp)) as container, refused:
            first(container, ("true",), waiting=way == "waiting")


FORBIDS = "linux.seccomp may forbid a call that the start itself needs"


@pytest.mark.parametrize("action", ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"])
@pytest.mark.parametrize("name", ["write", "rt_sigaction"])
@pytest.mark.parametrize("way", ["first", "waiting"])
def test_what_is_forbidden_to_the_start_is_told(way: str, name: str, action: str) -> None:
    seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=[SeccompRule([name], action)])
    with (
        libct.create(state_directory(), unique(), config_of(seccomp)) as container,
        pytest.raises((libct.StepError, libct.ContainerNotRunning)) as caught,
    ):
        first(container, ("true",), waiting=way == "waiting")
    text = str(caught.value)
    assert "None" not in text
    if action == "SCMP_ACT_KILL_PROCESS":
        assert "a filter of system calls has ended it" in text
    if isinstance(caught.value, libct.StepError):
        assert FORBIDS in text
        ops = [step.op for step in container.plan or ()]
        assert caught.value.number > ops.index("load_filter")


def test_a_hook_that_fails_by_itself_is_not_the_filter_s() -> None:
    hooks = Hooks(start_container=[Hook("/bin/false")])
    config = config_of(refusing("mkdir"), hooks=hooks)
    with (
        libct.create(state_directory(), unique(), config) as container,
        pytest.raises(libct.StepError, match="exit status 1") as caught,
    ):
        run_in(container, "true", init=True)
    assert FORBIDS not in str(caught.value)


def test_a_message_that_is_not_written_is_not_told_for_ever() -> None:
    """By whatever filter, also one that libct has not loaded."""

    def body() -> str:
        listener, speaker = pair()
        up = speaker.descriptors()[0]
        set_no_new_privs()
        condition = SeccompArg(0, up, 0, "SCMP_CMP_EQ")
        rule = SeccompRule(["write"], "SCMP_ACT_ERRNO", 0, [condition])
        faking = Seccomp("SCMP_ACT_ALLOW", syscalls=[rule])
        seccomp_set_mode_filter(Filter(encode(compile_profile(faking, named("X86_64")))))
        with pytest.raises(BrokenPipeError, match="nothing is written"):
            speaker.tell(("listens", 3))
        listener.close()
        return "ended"

    assert forked(body, timeout=20) == "ended"


def test_a_program_of_an_annotation_is_loaded() -> None:
    code = encode(compile_profile(refusing("mkdir", "mkdirat"), named("X86_64")))
    seccomp = Seccomp("SCMP_ACT_KILL_PROCESS", program=base64.b64encode(code).decode())
    with libct.create(state_directory(), unique(), config_of(seccomp)) as container:
        output = run_in(container, "sh", "-c", "mkdir /dev/x || true", init=True).output
    assert "nvalid cross-device link" in output


@pytest.mark.parametrize("more", [{"program": "AAAA"}, {"strict": True}])
def test_a_bad_annotation_keeps_a_container_from_starting(more: dict[str, Any]) -> None:
    seccomp = refusing("no_such", **more)
    with libct.create(state_directory(), unique(), config_of(seccomp)) as container:
        with pytest.raises(ConfigError, match=r"multiple of 8 bytes|unknown system call"):
            run_in(container, "true", init=True)
        assert container.status() == "stopped"

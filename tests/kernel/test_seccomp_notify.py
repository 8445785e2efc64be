"""Notifications of a container's filter: who gets them, and what answers do."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import libct
from libct.bootstrap.listening import Listener
from libct.config import Namespace
from libct.config.namespace import NEWPID
from libct.config.seccomp import Seccomp, SeccompRule
from libct.errors import ConfigError
from libct.seccomp.architectures import named
from libct.seccomp.compiler import compile_profile
from libct.seccomp.instructions import encode
from libct.seccomp.notifications import Notification, serve
from libct.syscalls.process import set_no_new_privs
from libct.syscalls.seccomp import Filter, seccomp_set_mode_filter
from libct.syscalls.seccomp_constants import SECCOMP_FILTER_FLAG_NEW_LISTENER

from ..bundles import change_config, make_bundle
from ..commands import (
    as_user,
    libct as libct_command,
    libct_command as libct_program,
    libct_environment,
    user_checkout,
    user_environment,
    user_python,
)
from ..containers import PATH, make_config, run_in, running, shared_rootfs, state_directory
from ..names import unique
from ..needs import requires
from ..processes import forked
from .test_seccomp_start import config_of, either, first

pytestmark = [requires("root"), pytest.mark.usefixtures("nothing_left")]


def notifying(*names: str, **more: Any) -> Seccomp:
    return Seccomp("SCMP_ACT_ALLOW", syscalls=[SeccompRule(list(names), "SCMP_ACT_NOTIFY")], **more)


@either
@pytest.mark.parametrize("way", ["first", "waiting", "further", "pod"])
def test_a_function_answers_for_the_kernel(way: str, last: bool) -> None:
    seen: list[str] = []

    def answer(call: Notification) -> int | None:
        seen.append(call.name)
        if call.name == "mkdir":
            raise OSError(errno.EXDEV, "no")
        return 4711 if call.name == "geteuid" else None

    config = config_of(notifying("mkdir", "geteuid", "execve"), last=last)
    command = ("sh", "-c", "mkdir /dev/x; id -u")
    with running(make_config()) as other, contextlib.ExitStack() as stack:
        if way == "pod":
            spaces = [one for one in config.namespaces if one.type != NEWPID]
            pid = other.processes()[0]
            config.namespaces = [*spaces, Namespace(NEWPID, f"/proc/{pid}/ns/pid")]
        if way == "further":
            container = stack.enter_context(running(config, notify=lambda call: None))
            output = run_in(container, *command, notify=answer).output
        else:
            container = stack.enter_context(libct.create(state_directory(), unique(), config))
            output = first(container, command, waiting=way == "waiting", notify=answer)
    assert "nvalid cross-device link" in output
    assert output.endswith("4711\n")
    assert {"mkdir", "geteuid", "execve"} <= set(seen)


@pytest.mark.parametrize("error", [KeyError("x"), OSError(-5, "x"), OSError(99999, "x")])
def test_an_answer_that_fails_is_eperm(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sys, "excepthook", lambda *what: told.append(what[1]))

    def answer(call: Notification) -> None:
        raise error

    with libct.create(state_directory(), unique(), config_of(notifying("mkdir"))) as container:
        output = first(container, ("sh", "-c", "mkdir /dev/x"), waiting=False, notify=answer)
    assert "not permitted" in output
    assert told == ([] if isinstance(error, OSError) else [error])


def failing(error: BaseException) -> Callable[[], int]:
    def fail() -> int:
        raise error

    return fail


WRONG: dict[str, Callable[[], Any]] = {
    "large": lambda: 1 << 63,
    "small": lambda: -(1 << 63) - 1,
    "text": lambda: "x",
    "errno": failing(OSError("a", "b")),
    "none": failing(OSError("a")),
    "exit": failing(SystemExit(3)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_not_the_last(
    wrong: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the host program's own hook for exceptions fails."""

    def hook(*_: object) -> None:
        raise KeyError("the hook")

    monkeypatch.setattr(sys, "excepthook", hook)

    def answer(call: Notification) -> Any:
        return 4711 if call.name == "geteuid" else wrong()

    config = config_of(notifying("mkdir", "geteuid"))
    with libct.create(state_directory(), unique(), config) as container:
        output = first(container, ("sh", "-c", "mkdir /x; id -u"), waiting=False, notify=answer)
    assert "not permitted" in output
    assert output.endswith("4711\n")


@contextlib.contextmanager
def agent() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The path of a socket whose listener has mkdir fail by EXDEV, and what it is sent."""
    got: list[dict[str, Any]] = []

    def refuse(call: Notification) -> None:
        raise OSError(errno.EXDEV, "no")

    def listen() -> None:
        while True:
            try:
                connection = server.accept()[0]
            except OSError:
                return
            with connection:
                data, fds, _, _ = socket.recv_fds(connection, 1 << 16, 1)
                got.append(json.loads(data))
                threading.Thread(target=serve, args=(fds[0], refuse)).start()

    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as server:
        path = f"{directory}/agent"
        server.bind(path)
        server.listen()
        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield path, got
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@either
def test_an_agent_gets_the_listener_and_the_state(tmp_path: Path, last: bool) -> None:
    bundle = make_bundle(tmp_path, rootfs=shared_rootfs(), args=["sleep", "60"])
    name = unique()
    with agent() as (path, got):
        rule = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
        profile = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [rule],
            "listenerPath": path,
            "listenerMetadata": 'a "word"',
        }
        changed = {"seccomp": profile}
        change_config(bundle, linux=changed, process={"noNewPrivileges": last})
        change_config(bundle, annotations={"org.test": "yes"})
        libct_command("run", "-d", "-b", bundle, name, check=True)
        try:
            state = json.loads(libct_command("state", name, check=True).stdout)
            done = libct_command("exec", name, "mkdir", "/dev/x")
        finally:
            libct_command("delete", "--force", name, check=True)
    assert "nvalid cross-device link" in done.stderr
    of_run, of_exec = got
    for one in got:
        assert one["fds"] == ["seccompFd"]
        assert one["metadata"] == 'a "word"'
        assert one["state"]["id"] == name
        assert one["state"]["bundle"] == str(bundle)
        assert one["state"]["annotations"] == {"org.test": "yes"}
        assert one["ociVersion"] == one["state"]["ociVersion"]
        assert one["pid"] == one["state"]["pid"] > 0
    assert of_run["pid"] == state["pid"] != of_exec["pid"]
    assert of_run["state"]["status"] == "creating"
    assert of_exec["state"]["status"] == "running"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("way", ["run", "exec"])
def test_a_signal_ends_a_start_that_waits(tmp_path: Path, way: str, number: int) -> None:
    """For an agent that never answers to its execve."""
    name = unique()
    bundle = make_bundle(tmp_path, rootfs=shared_rootfs(), args=["sleep", "60"])
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{tmp_path}/agent")
        server.listen()
        server.settimeout(30)
        rule = {"names": ["execve"], "action": "SCMP_ACT_NOTIFY"}
        profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
        profile["listenerPath"] = f"{tmp_path}/agent"
        change_config(bundle, linux={"seccomp": profile}, process={"noNewPrivileges": True})
        words = ["run", "-b", str(bundle), name]
        if way == "exec":
            libct_command("create", "-b", bundle, name, check=True)
            server.accept()[0].close()
            words = ["exec", name, "true"]
        with subprocess.Popen(
            libct_program(*words),
            env={**os.environ, **libct_environment()},
            stdin=subprocess.DEVNULL,
        ) as run:
            connection = server.accept()[0]
            with connection:
                fds = socket.recv_fds(connection, 1 << 16, 1)[1]
                assert select.select(fds, [], [], 30)[0] == fds  # it is in its execve
                run.send_signal(number)
                try:
                    assert run.wait(20) == 128 + number
                finally:
                    run.kill()
                    os.close(fds[0])
    if way == "exec":
        libct_command("delete", "--force", name, check=True)
    assert libct_command("state", name).returncode != 0


def test_signals_do_not_keep_the_listener_from_an_agent_that_is_slow(tmp_path: Path) -> None:
    def body() -> str:
        handled: list[int] = []
        with (
            socket.socket(socket.AF_UNIX) as server,
            socket.socket(socket.AF_UNIX) as other,
        ):
            server.bind(f"{tmp_path}/agent")
            server.listen(0)
            other.connect(f"{tmp_path}/agent")  # the queue is full

            def take() -> None:
                while len(handled) < 3:
                    time.sleep(0.01)
                server.accept()[0].close()
                with server.accept()[0] as connection:
                    os.close(socket.recv_fds(connection, 1 << 16, 1)[1][0])

            thread = threading.Thread(target=take)
            thread.start()
            signal.signal(signal.SIGALRM, lambda number, _: handled.append(number))
            config = config_of(notifying("swapon", listener_path=f"{tmp_path}/agent"))
            with libct.create(state_directory(), unique(), config) as container:
                signal.setitimer(signal.ITIMER_REAL, 0.3, 0.1)
                output = first(container, ("echo", "started"), waiting=False)
                signal.setitimer(signal.ITIMER_REAL, 0)
            thread.join()
        return output

    assert forked(body) == "started\n"


def test_without_an_agent_the_start_fails_and_leaves_nothing(tmp_path: Path) -> None:
    config = config_of(notifying("mkdir", listener_path=f"{tmp_path}/none"))
    with libct.create(state_directory(), unique(), config) as container:
        with pytest.raises(libct.StepError, match="a seccomp agent has to listen there") as caught:
            container.run(libct.Process(["true"], init=True, env=[PATH]))
        assert "linux.seccomp.listenerPath" in repr(caught.value.place)
        assert container.processes() == []


@pytest.mark.parametrize("name", ["read", "write", "close_range", "mmap", "munmap", "brk"])
def test_calls_that_bring_the_listener_out_cannot_be_notified(name: str) -> None:
    with (
        pytest.raises(ConfigError, match=f"{name} cannot be notified"),
        running(config_of(notifying("mkdir", name)), notify=lambda call: None),
    ):
        pass


def test_a_path_that_no_socket_has_is_refused() -> None:
    for size in (107, 108):
        path = "/" + "x" * (size - 1)
        config = config_of(notifying("mkdir", listener_path=path))
        message = "listenerPath: 108 bytes" if size == 108 else "agent has to listen there"
        with (
            pytest.raises((ConfigError, libct.StepError), match=message),
            libct.create(state_directory(), unique(), config) as container,
        ):
            run_in(container, "true", init=True)


def test_nobody_for_the_notifications_is_refused() -> None:
    with (
        pytest.raises(ConfigError, match=r"linux\.seccomp\.listenerPath: missing"),
        running(config_of(notifying("mkdir"))),
    ):
        pass


def test_a_second_listener_is_explained() -> None:
    def body() -> str:
        set_no_new_privs()
        program = Filter(encode(compile_profile(notifying("mkdir"), named("X86_64"))))
        fd = seccomp_set_mode_filter(program, SECCOMP_FILTER_FLAG_NEW_LISTENER)
        threading.Thread(target=serve, args=(fd, lambda call: None), daemon=True).start()
        with libct.create(state_directory(), unique(), config_of(notifying("mkdir"))) as container:
            with pytest.raises(libct.StepError, match="has one at most") as caught:
                container.run(
                    libct.Process(["true"], init=True, env=[PATH], notify=lambda call: None)
                )
            return str(caught.value)

    assert "Device or resource busy" in forked(body)


def test_once_nobody_listens_calls_fail_and_do_not_wait(tmp_path: Path) -> None:
    """The process has no copy of the listener itself."""
    closed = threading.Event()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{tmp_path}/agent")
        server.listen()

        def take() -> None:
            with server.accept()[0] as connection:
                for fd in socket.recv_fds(connection, 1 << 16, 1)[1]:
                    os.close(fd)
            closed.set()

        threading.Thread(target=take).start()
        config = config_of(notifying("mkdir", listener_path=f"{tmp_path}/agent"))
        with libct.create(state_directory(), unique(), config) as container:
            output = first(container, ("sh", "-c", "mkdir /dev/x"), waiting=True)
    assert closed.is_set()
    assert "not implemented" in output


def test_who_waits_for_its_start_has_no_listener_that_others_might_take() -> None:
    with libct.create(state_directory(), unique(), config_of(notifying("mkdir"))) as container:
        process = libct.Process(["true"], init=True, env=[PATH], notify=lambda call: None)
        container.start(process)
        directory = f"/proc/{process.pid}/fd"
        found = [os.readlink(f"{directory}/{fd}") for fd in os.listdir(directory)]
        container.exec()
        process.wait(60)
    assert any("exec.fifo" in one or "pipe:" in one for one in found)
    assert not [one for one in found if "seccomp" in one]


def test_what_is_no_listener_is_not_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody inside has said another number."""
    heard = Listener.hear

    def hear(self: Listener) -> tuple[Any, ...]:
        message = heard(self)
        return ("listens", 0) if message[0] == "listens" else message

    monkeypatch.setattr(Listener, "hear", hear)
    with libct.create(state_directory(), unique(), config_of(notifying("mkdir"))) as container:
        process = libct.Process(["true"], init=True, env=[PATH], notify=lambda call: None)
        with pytest.raises(libct.StepError, match="is not a notification listener"):
            container.run(process)


@requires("userns")
def test_an_ordinary_user_has_notifications_too(user_path: Path) -> None:
    script = """
import os, sys
sys.path.insert(0, sys.argv[1])
import libct
from libct.config.seccomp import Seccomp, SeccompRule
def answer(call):
    if call.name == "mkdir":
        raise OSError(18, "no")
seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=[SeccompRule(["mkdir"], "SCMP_ACT_NOTIFY")])
dev = libct.config.Mount("/dev", "tmpfs", "tmpfs")
ids = [libct.config.IDMap(0, os.getuid(), 1)], [libct.config.IDMap(0, os.getgid(), 1)]
spaces = [libct.config.Namespace(one) for one in ("NEWNS", "NEWPID", "NEWUSER")]
for last in (True, False):
    config = libct.Config(rootfs=sys.argv[2], namespaces=spaces, seccomp=seccomp,
        mounts=[dev], no_new_privileges=last, uid_mappings=ids[0], gid_mappings=ids[1])
    with libct.create(sys.argv[3], "one", config) as box:
        process = libct.Process(["mkdir", "/dev/x"], env=["PATH=/bin"], init=True, notify=answer)
        box.run(process)
        print(process.wait(30).exit_code, flush=True)
"""
    done = as_user(
        user_python(),
        "-c",
        script,
        user_checkout(),
        shared_rootfs(),
        user_path,
        env=user_environment(),
    )
    assert done.stdout.split() == ["1", "1"], done.stderr
    assert done.stderr.count("nvalid cross-device link") == 2

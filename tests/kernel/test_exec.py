"""Further processes in a running container: what they share with it, and what they do not."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap.execute import read_head
from libct.config import (
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWTIME,
    NEWUSER,
    NEWUTS,
    Capabilities,
    Cgroup,
    Config,
    IDMap,
    Rlimit,
    Scheduler,
    TimeOffset,
)
from libct.life import starting
from libct.syscalls.constants import CAPABILITIES
from libct.syscalls.credentials import capget, capset
from libct.syscalls.process import capbset_drop

from ..bundles import change_config
from ..commands import libct as libct_run, session_directory
from ..containers import (
    PATH,
    USUAL,
    make_config,
    run,
    run_in,
    running,
    shared_rootfs,
    state_directory,
)
from ..support import (
    as_user,
    busybox_rootfs,
    forked,
    make_bundle,
    requires,
    unique,
    user_checkout,
    user_python,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

NAMES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
MAP = [IDMap(0, 100000, 65536)]
MAPS: dict[str, Any] = {"uid_mappings": MAP, "gid_mappings": MAP}
KINDS: dict[str, dict[str, Any]] = {
    "usual": {"namespaces": (*USUAL, NEWCGROUP)},
    "all": {"namespaces": (*USUAL, NEWCGROUP, NEWUSER, NEWTIME), **MAPS},
    "clocks": {
        "namespaces": (*USUAL, NEWTIME, NEWUSER),
        "time_offsets": {"boottime": TimeOffset(10**7, 0)},
        **MAPS,
    },
    "mounts": {"namespaces": (NEWNS,)},
    "pids": {"namespaces": (NEWPID,), "mounts": [], "devices": []},
    "user": {"namespaces": (NEWUSER,), "mounts": [], "devices": [], **MAPS},
    "none": {"namespaces": (), "mounts": [], "devices": []},
}


def namespaces(pid: int | str) -> dict[str, str]:
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in NAMES}


@pytest.mark.parametrize("kind", KINDS)
@requires("timens")
def test_it_is_in_all_namespaces_of_the_first(kind: str) -> None:
    with running(make_config(**KINDS[kind])) as container:
        first = container.state()["pid"]
        process = libct.Process(["sleep", "60"], env=[PATH])
        container.run(process)
        assert namespaces(process.pid) == namespaces(first)
        for link in ("root", "cwd"):
            ours, theirs = (os.stat(f"/proc/{pid}/{link}") for pid in (process.pid, first))
            assert (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
        assert os.stat(f"/proc/{process.pid}").st_uid == os.stat(f"/proc/{first}").st_uid
        assert run_in(container, "ls", "/bin/busybox").state.success
        process.signal(signal.SIGKILL)
        assert process.wait().signal == signal.SIGKILL


ADMIN = Capabilities(*[["CAP_SYS_ADMIN"]] * 3)  # bounding, effective, permitted
LEAVES = {  # kind: (an option of unshare(1), the namespace's name)
    NEWUTS: ("-u", "uts"),
    NEWIPC: ("-i", "ipc"),
    NEWNET: ("-n", "network"),
    NEWNS: ("-m", "mount"),
    NEWUSER: ("-U", "user"),
}


@contextlib.contextmanager
def left(option: str, config: Config, *, hold: bool, user: str = "") -> Iterator[libct.Container]:
    """A container whose first process has left a namespace for one of its own."""
    with libct.create(state_directory(), unique(), config) as container:
        words = ["unshare", *option.split(), "sleep", "60"]
        process = libct.Process(words, init=True, env=[PATH], user=user)
        container.start(process, hold=hold)
        if hold:
            container.exec()
        comm = Path(f"/proc/{process.pid}/comm")
        assert wait_until(lambda: comm.read_text() == "sleep\n")
        yield container


@pytest.mark.parametrize("kind", LEAVES)
def test_a_namespace_that_the_first_process_has_left(kind: str) -> None:
    option, name = LEAVES[kind]
    config = make_config(namespaces=(*USUAL, NEWUSER), capabilities=ADMIN)
    with left(option, config, hold=True) as container:
        expected = f"its first process has left the container's {name} namespace$"
        with pytest.raises(libct.Error, match=expected):
            run_in(container, "true")


def test_namespaces_that_a_user_inside_has_made_are_not_entered() -> None:
    """They are his: of root in there, he could read the memory."""
    for hold in (True, False):
        with (
            left("-U -n", make_config(), hold=hold, user="1000") as container,
            pytest.raises(libct.Error, match=r"left the container's (user|net|network) namespace$"),
        ):
            run_in(container, "true", user="0:0")


def test_a_user_namespace_is_none_of_the_containers() -> None:
    with left("-U", make_config(), hold=True, user="1000") as container:
        done = run_in(container, "readlink", "/proc/self/ns/user", user="0:0")
        assert done.lines == [os.readlink("/proc/self/ns/user")]


def test_a_namespace_that_it_leaves_while_somebody_enters(monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(namespaces=(*USUAL, NEWUSER))
    looked_at = starting._other_namespaces

    def leave_then(holdings: Any) -> dict[int, int]:
        found = looked_at(holdings)
        pid = holdings.record.pid
        assert wait_until(lambda: leaves(pid))
        return found

    def leaves(pid: int) -> bool:
        os.kill(pid, signal.SIGUSR1)  # again, where its trap was not set yet
        return Path(f"/proc/{pid}/comm").read_text() == "sleep\n"

    monkeypatch.setattr(starting, "_other_namespaces", leave_then)
    script = "trap 'exec unshare -U sleep 60' USR1; while :; do :; done"
    with (
        running(config, "sh", "-c", script, user="1000") as container,
        pytest.raises(libct.StepError, match=r"left the container's namespace \(user\)"),
    ):
        run_in(container, "true", user="0:0")


def test_a_state_without_the_namespaces_is_entered_as_before() -> None:
    with running(make_config()) as container:
        state = Path(container._has.directory.path) / "state.json"
        values = json.loads(state.read_text())
        assert set(values.pop("namespaces")) == {*NAMES} - {"net"}
        state.write_text(json.dumps(values))
        assert run_in(libct.load(state_directory(), container.id), "true").state.success


@requires("cgroup1")
@pytest.mark.parametrize("kinds", [USUAL, (*USUAL, NEWCGROUP), (*USUAL, NEWCGROUP, NEWUSER)])
def test_it_is_in_the_groups_of_the_first(kinds: tuple[str, ...]) -> None:
    config = make_config(namespaces=kinds, cgroups=Cgroup(), **(MAPS if NEWUSER in kinds else {}))
    with running(config) as container:
        first = container.state()["pid"]
        process = libct.Process(["sleep", "60"], env=[PATH])
        container.run(process)
        groups = [Path(f"/proc/{pid}/cgroup").read_text() for pid in (first, process.pid)]
        assert groups[0] == groups[1] != Path("/proc/self/cgroup").read_text()
        assert container.processes() == sorted([first, process.pid])


def test_user_groups_and_home() -> None:
    with running(make_config()) as container:

        def seen(script: str, **process: Any) -> str:
            return run_in(container, "sh", "-c", script, **process).output.strip()

        assert seen("id -u; id -G; echo $HOME; pwd") == "0\n0\n/root\n/"
        assert seen("id -un; id -G; echo $HOME", user="user") == "user\n1000 29 2000\n/home/user"
        assert seen("id -u; id -G", user="7:8", additional_groups=[9, "extra"]) == "7\n8 9 2000"
        assert seen("echo $HOME", env=[PATH, "HOME=/mine"]) == "/mine"
        assert seen("echo $HOME", env=[PATH, "HOME="]) == "/root"
        with pytest.raises(libct.StepError, match="no user 'nobody2'"):
            seen("true", user="nobody2")


def test_environment_working_directory_and_umask() -> None:
    with running(make_config(umask=0o77)) as container:

        def seen(script: str, **process: Any) -> list[str]:
            return run_in(container, "sh", "-c", script, **process).lines

        env = [PATH, "A=1", "B=2", "A=3", "EMPTY=", "WITH=equals=more"]
        done = run_in(container, "env", env=env)
        assert done.lines == ["PATH=/bin", "B=2", "A=3", "EMPTY=", "WITH=equals=more", "HOME=/root"]
        assert seen("pwd", cwd="/var/tmp") == ["/var/tmp"]
        assert seen("umask") == ["0077"]
        assert seen("umask", umask=0o27) == ["0027"]
        with pytest.raises(libct.StepError) as caught:
            seen("pwd", cwd="/no/such")
        assert (caught.value.place, caught.value.errno) == ("process.cwd", 2)
        with pytest.raises(libct.StepError) as caught:
            seen("pwd", cwd="/bin/sh")
        assert (caught.value.place, caught.value.errno) == ("process.cwd", 20)


def test_a_directory_that_only_the_user_may_enter(tmp_path: Path) -> None:
    rootfs = busybox_rootfs(tmp_path)
    private = rootfs / "home/user"
    os.chown(private, 1000, 1000)
    private.chmod(0o700)
    tmp_path.chmod(0o755)
    config = make_config(rootfs, namespaces=(*USUAL, NEWUSER))
    config.capabilities = Capabilities()  # not even root's overriding of permissions
    with running(config) as container:
        done = run_in(container, "pwd", cwd="/home/user", user="1000:1000")
        assert done.output == "/home/user\n"


def test_a_directory_that_the_runtime_may_not_enter(tmp_path: Path) -> None:
    """The user may, once the process is his."""
    rootfs = busybox_rootfs(tmp_path)
    private = rootfs / "home/user"
    os.chown(private, 1000, 1000)
    private.chmod(0o700)
    state_directory()

    def body() -> None:
        have = capget()[1]
        for name in ("CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"):
            have &= ~(1 << CAPABILITIES[name])
            capbset_drop(CAPABILITIES[name])  # or the server would have it again
        capset(have, have, 0)
        with pytest.raises(PermissionError):
            os.chdir(private)
        config = make_config(rootfs)
        assert run(config, "pwd", cwd="/home/user", user="1000:1000").output == "/home/user\n"
        with pytest.raises(libct.StepError, match="Permission denied") as caught:
            run(config, "pwd", cwd="/home/user", user="1001:1001")
        assert caught.value.place == "process.cwd"

    forked(body)


def test_capabilities_limits_and_privileges() -> None:
    kept = Capabilities(bounding=["CAP_KILL"], effective=["CAP_KILL"], permitted=["CAP_KILL"])
    config = make_config(capabilities=kept, rlimits=[Rlimit(7, 300, 200)], no_new_privileges=True)
    script = "grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status; ulimit -Sn; ulimit -Hn"
    with running(config) as container:

        def seen(**process: Any) -> list[str]:
            lines = run_in(container, "sh", "-c", script, **process).lines
            return [line.split()[-1] for line in lines]

        assert seen() == [f"{1 << 5:016x}", f"{1 << 5:016x}", "1", "200", "300"]
        more = Capabilities(bounding=["CAP_CHOWN"], permitted=["CAP_CHOWN"])
        found = seen(capabilities=more, rlimits=[Rlimit(7, 150, 100)], no_new_privileges=False)
        assert found == [f"{1:016x}", f"{1:016x}", "0", "100", "150"]  # execve, for root


def test_scheduling_is_set_before_the_rights_for_it_go() -> None:
    config = make_config(scheduler=Scheduler(0, nice=-5))
    with running(config, user="1000:1000") as container:
        done = run_in(container, "cut", "-d ", "-f19", "/proc/self/stat", user="1000:1000")
        assert done.output == "-5\n"


def test_commands_are_looked_up_as_the_user_that_runs_them(tmp_path: Path) -> None:
    rootfs = busybox_rootfs(tmp_path)
    tmp_path.chmod(0o755)
    for directory, mode in (("root", 0o700), ("all", 0o755)):
        (rootfs / directory).mkdir(exist_ok=True)
        tool = rootfs / directory / "tool"
        tool.write_text(f"#!/bin/sh\necho of {directory}\n")
        tool.chmod(mode)
    with running(make_config(rootfs)) as container:
        for user, said in (("0:0", "of root\n"), ("1000:1000", "of all\n")):
            done = run_in(container, "tool", env=["PATH=/root:/all:/bin"], user=user)
            assert done.output == said


def test_a_command_that_is_missing_makes_no_container() -> None:
    """What waits for its start is created when nothing but the start is missing."""
    with libct.create(state_directory(), unique(), make_config()) as container:
        with pytest.raises(libct.StepError, match="executable file not found"):
            container.start(libct.Process(["no-such-command"], env=[PATH], init=True))
        assert container.status() == "stopped"


@pytest.mark.parametrize("own", [True, False])
def test_it_has_the_keyring_of_the_first(own: bool) -> None:
    """An ordinary user sees root's keyring only where it is his session's."""
    with running(make_config(no_new_keyring=not own)) as container:
        done = run_in(container, "cat", "/proc/keys", user="1000:1000")
        assert (f"_ses.{container.id}" in done.output) == own


def test_limits_in_a_user_namespace_are_set_from_outside() -> None:
    config = make_config(namespaces=(*USUAL, NEWUSER), rlimits=[Rlimit(4, 0, 0)], **MAPS)
    with running(config) as container:
        assert run_in(container, "sh", "-c", "ulimit -c; ulimit -Hc").lines == ["0", "0"]
        limited = [Rlimit(7, 64, 64)]
        assert run_in(container, "sh", "-c", "ulimit -n", rlimits=limited).lines == ["64"]


@pytest.mark.parametrize("init", [True, False])
def test_a_terminal(init: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = libct.Process(
            [
                "sh",
                "-c",
                "tty; stty size; ls -l /proc/self/fd/3; ps -o tty= $$; read line; echo got $line",
            ],
            env=[PATH],
            terminal=True,
            console_socket=theirs,
            console_width=101,
            console_height=37,
            init=init,
        )
        with libct.create(state_directory(), unique(), make_config()) as container:
            if not init:
                container.run(libct.Process(["sleep", "60"], env=[PATH], init=True))
            container.run(process)
            name, fds, _, _ = socket.recv_fds(ours, 100, 1)
            assert name == b"/dev/ptmx"
            with open(fds[0], "r+b", buffering=0) as master:
                master.write(b"hello\n")
                said = b""
                while b"got hello" not in said:
                    said += master.read(4096)
                assert process.wait(10).exit_code == 0  # closing it would be a hang-up
    lines = said.decode().split("\r\n")
    assert "/dev/pts/0" in lines
    assert "37 101" in lines


def test_a_terminal_without_a_socket() -> None:
    with running(make_config()) as container:
        process = libct.Process(["sh"], env=[PATH], terminal=True)
        with pytest.raises(libct.Error, match=r"needs a console_socket .*terminal = False"):
            container.run(process)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["true"], (0, None, 0)),
        (["false"], (1, None, 1)),
        (["sh", "-c", "exit 77"], (77, None, 77)),
        (["sh", "-c", "exit 255"], (255, None, 255)),
        (["sh", "-c", "kill -TERM $$"], (None, 15, 143)),
        (["sh", "-c", "kill -SEGV $$"], (None, 11, 139)),
    ],
)
def test_exit_codes(command: list[str], expected: tuple[Any, ...]) -> None:
    with running(make_config()) as container:
        state = run_in(container, *command).state
        assert (state.exit_code, state.signal, state.status) == expected
        assert state.success == (expected[2] == 0)


def test_streams_go_where_they_are_sent(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("one\ntwo\n")
    with running(make_config()) as container:
        with (tmp_path / "in").open() as source, (tmp_path / "out").open("w") as target:
            process = libct.Process(
                ["sh", "-c", "cat; echo oops >&2"],
                env=[PATH],
                stdin=source,
                stdout=target.fileno(),
                stderr=target,
                user="user",
            )
            container.run(process)
        assert process.wait().success
    assert (tmp_path / "out").read_text() == "one\ntwo\noops\n"
    assert (tmp_path / "out").stat().st_uid == 1000  # so that /dev/stdout can be opened again


# runc's words, of execve(2) itself.
_NOT_THERE = ": exec /etc/NAME: no such file or directory (its "
_NOT_A_FORMAT = ": exec /etc/NAME: exec format error (no "

COMMANDS: dict[str, tuple[str, str, str, str]] = {
    # file in /etc: (its contents, mode, message, hint)
    "absent": ("", "", 'exec: "/etc/absent": stat /etc/absent: no such file or directory', ""),
    "plain": ("text", "644", 'exec: "/etc/plain": permission denied', ""),
    "nothing": ("text", "755", _NOT_A_FORMAT, "no #! line and no executable format"),
    "lost": ("#!/no/shell -e\n", "755", _NOT_THERE, "interpreter '/no/shell' is not"),
    "spaced": ("#! /no/shell\n", "755", _NOT_THERE, "interpreter '/no/shell' is not"),
    "dynamic": ("", "755", _NOT_THERE, "its program loader (PT_INTERP"),
    "busy": ("text", "755", " exec /etc/busy: text file busy", ""),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("way", ["first", "held", "further"])
def test_commands_that_cannot_be_executed(name: str, way: str, tmp_path: Path) -> None:
    contents, mode, message, hint = COMMANDS[name]
    message = message.replace("NAME", name)
    rootfs = busybox_rootfs(tmp_path)
    if name == "dynamic":
        (rootfs / "etc/dynamic").write_bytes(Path("/bin/ls").read_bytes())
    elif mode:
        (rootfs / f"etc/{name}").write_text(contents)
    if mode:
        (rootfs / f"etc/{name}").chmod(int(mode, 8))
    process = libct.Process([f"/etc/{name}"], env=[PATH], init=way != "further")
    with contextlib.ExitStack() as stack:
        if name == "busy":
            stack.enter_context((rootfs / "etc/busy").open("a"))
        container = stack.enter_context(
            libct.create(state_directory(), unique(), make_config(rootfs))
        )
        if way == "further":
            container.run(libct.Process(["sleep", "60"], env=[PATH], init=True))
        with pytest.raises(libct.StepError) as caught:  # noqa: PT012  # either may find it
            if way == "held":
                container.start(process)
                container.exec()
            else:
                container.run(process)
        assert message in str(caught.value)
        assert hint in caught.value.hint
        assert bool(hint) == bool(caught.value.hint)
        assert caught.value.place == "process.args"
        assert container.status() == ("running" if way == "further" else "stopped")


@pytest.mark.parametrize("way", ["first", "held", "further"])
def test_a_fifo_or_a_device_as_the_command_holds_nobody_up(way: str, tmp_path: Path) -> None:
    rootfs = busybox_rootfs(tmp_path)
    os.mkfifo(rootfs / "bin/fifo", 0o755)
    os.mknod(rootfs / "bin/zero", 0o777 | stat.S_IFCHR, os.makedev(1, 5))
    (rootfs / "bin/a-link").symlink_to("/bin/fifo")

    def body() -> None:
        for name in ("/bin/fifo", "fifo", "/bin/zero", "/bin/a-link"):
            process = libct.Process([name], env=[PATH], init=way != "further")
            with libct.create(state_directory(), unique(), make_config(rootfs)) as container:
                if way == "further":
                    container.run(libct.Process(["sleep", "60"], env=[PATH], init=True))
                refused = "permission denied" if name.startswith("/") else "file not found"
                with pytest.raises(libct.StepError, match=refused):
                    container.start(process) if way == "held" else container.run(process)

    forked(body, timeout=20)


def test_the_head_of_a_program_is_that_of_a_file(tmp_path: Path) -> None:
    """It is looked at when others may have exchanged it already."""
    os.mkfifo(tmp_path / "fifo")
    os.mknod(tmp_path / "zero", 0o777 | stat.S_IFCHR, os.makedev(1, 5))
    (tmp_path / "script").write_text("#!/no/shell\n" + "x" * 1000)
    (tmp_path / "link").symlink_to("/proc/version")

    def body() -> list[bytes]:
        proc = os.open("/proc", os.O_PATH)
        names = ("script", "fifo", "zero", "link", "missing")
        return [read_head(proc, str(tmp_path / name)) for name in names]

    script, *others = forked(body, timeout=20)
    assert script == b"#!/no/shell\n" + b"x" * 244
    assert others == [b""] * 4


def test_commands_are_looked_up_in_path(tmp_path: Path) -> None:
    rootfs = busybox_rootfs(tmp_path)
    (rootfs / "tmp/tool").write_text("#!/bin/sh\necho found\n")
    with running(make_config(rootfs)) as container:
        with pytest.raises(libct.StepError, match='exec: "tool": executable file not found in'):
            run_in(container, "tool")
        with pytest.raises(libct.StepError, match='"tool": executable file not found in') as caught:
            run_in(container, "tool", env=["PATH=/bin:/tmp"])
        assert caught.value.hint == "/tmp/tool may not be executed by this user"
        (rootfs / "tmp/tool").chmod(0o755)
        assert run_in(container, "tool", env=["PATH=/bin:/tmp"]).output == "found\n"
        # Not in the working directory, however PATH asks for it.
        for path in ("", ".", ":", "/bin::", "tmp"):
            with pytest.raises(libct.StepError, match="executable file not found"):
                run_in(container, "tool", env=[f"PATH={path}"], cwd="/tmp")
        with pytest.raises(libct.StepError, match="permission denied: it is a directory"):
            run_in(container, "/tmp")


def test_which_states_it_can_be_started_in() -> None:
    with libct.create(state_directory(), unique(), make_config()) as container:
        with pytest.raises(libct.ContainerNotRunning, match="container not running"):
            run_in(container, "true", init=False)
        first = libct.Process(["sh", "-c", "sleep 60"], env=[PATH], init=True)
        container.start(first)
        assert container.status() == "created"
        assert run_in(container, "true").state.success
        assert container.status() == "created"
        container.exec()
        assert run_in(container, "true").state.success
        with pytest.raises(libct.Error, match="can be started once"):
            container.run(first)
        with pytest.raises(libct.ContainerRunning, match="already has an init process"):
            run_in(container, "true", init=True)
        first.signal(signal.SIGKILL)
        first.wait()
        with pytest.raises(libct.ContainerNotRunning):
            run_in(container, "true")


@requires("cgroup1")
def test_in_a_paused_container() -> None:
    with running(make_config(cgroups=Cgroup())) as container:
        container.pause()
        with pytest.raises(libct.ContainerPaused):
            run_in(container, "true")
        process = libct.Process(["true"], env=[PATH])
        later = threading.Timer(0.2, container.resume)
        later.start()
        before = time.monotonic()
        container.start(process, ignore_paused=True)
        assert time.monotonic() - before > 0.15
        assert process.wait(10).success
        later.join()


ROOTLESS = """
import os, sys
sys.path.insert(0, sys.argv[1])
import libct
from libct.config import IDMap, Mount, Namespace
maps = [IDMap(0, os.getuid(), 1)], [IDMap(0, os.getgid(), 1)]
config = libct.Config(
    rootfs=sys.argv[2],
    namespaces=[Namespace(kind) for kind in ("NEWNS", "NEWPID", "NEWUSER", "NEWUTS")],
    uid_mappings=maps[0], gid_mappings=maps[1], rootless_euid=True,
    mounts=[Mount("/proc", "proc", "proc"), Mount("/dev", "tmpfs", "tmpfs")],
)
env = ["PATH=/bin"]
with libct.create(os.environ["XDG_RUNTIME_DIR"] + "/libct", "one", config) as container:
    container.start(libct.Process(["sleep", "60"], env=env, init=True))
    script = "id -u; test $(cat /proc/1/comm) = sleep || exit 5"
    process = libct.Process(["sh", "-c", script], env=env)
    container.run(process)
    print(process.wait().status, container.status(), flush=True)
    container.exec()
    process = libct.Process(["sh", "-c", "id -u; cat /proc/1/comm; exit 6"], env=env)
    container.run(process)
    print(process.wait().status)
"""


@requires("user", "contexts")
@pytest.mark.parametrize("refused", ["", "mkdir", "prctl"])
@pytest.mark.parametrize("last", [True, False])
def test_an_ordinary_user_enters_his_created_container(
    user_path: Path, refused: str, *, last: bool
) -> None:
    """Unless its filter refuses that it shows itself."""
    bundle, name = make_bundle(user_path, rootless=True, args=["sleep", "60"]), unique()
    if refused:
        rule = {"names": [refused], "action": "SCMP_ACT_ERRNO"}
        profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
        change_config(bundle, linux={"seccomp": profile}, process={"noNewPrivileges": last})
    libct_run("create", "-b", bundle, name, user=True, check=True)
    try:
        done = libct_run("exec", name, "true", user=True)
        assert (done.returncode == 0) is (refused != "prctl"), done.stderr
        assert ("seccomp profile refuses prctl(2)" in done.stderr) is (refused == "prctl")
    finally:
        libct_run("delete", "--force", name, user=True, check=True)


@requires("user")
def test_a_created_container_of_an_ordinary_user_that_has_hooks_to_run(user_path: Path) -> None:
    """It waits with the interpreter, so nobody inside may look at it, nor he from outside."""
    hooks = {"startContainer": [{"path": "/bin/true"}]}
    bundle, name = (
        make_bundle(user_path, rootless=True, args=["sleep", "60"], hooks=hooks),
        unique(),
    )
    libct_run("create", "-b", bundle, name, user=True, check=True)
    try:
        done = libct_run("exec", name, "true", user=True)
        assert done.returncode == 255
        assert "as an ordinary user before it is started" in done.stderr
        libct_run("start", name, user=True, check=True)
        libct_run("exec", name, "true", user=True, check=True)
    finally:
        libct_run("delete", "--force", name, user=True, check=True)


@requires("user", "contexts")
def test_an_ordinary_user() -> None:
    done = as_user(user_python(), "-c", ROOTLESS, user_checkout(), shared_rootfs())
    assert done.stdout.splitlines() == [
        "0",
        "5 created",
        "0",
        "sleep",
        "6",
    ], done.stdout + done.stderr


def test_many_at_once() -> None:
    with running(make_config()) as container:
        processes = [libct.Process(["sh", "-c", f"exit {n}"], env=[PATH]) for n in range(20)]
        threads = [threading.Thread(target=container.run, args=[one]) for one in processes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [process.wait(10).exit_code for process in processes] == list(range(20))


def test_a_first_process_that_ends_just_now() -> None:
    """Whatever moment it is, the answer is one of ours, and nothing runs on the host."""
    answers = set()
    for delay in (0.0, 0.001, 0.003, 0.005, 0.01, 0.5):
        with running(make_config(namespaces=(NEWNS, NEWPID, NEWUTS))) as container:
            pid = container.state()["pid"]
            timer = threading.Timer(delay, os.kill, (pid, signal.SIGKILL))
            timer.start()
            try:
                answers.add(run_in(container, "sleep", "60").state.signal)
            except libct.Error:
                answers.add(None)
            timer.join()
            assert wait_until(lambda: container.status() == "stopped")
            assert container.processes() == []
    assert answers == {None, signal.SIGKILL}


@pytest.mark.parametrize("kept", [True, False])
def test_the_callers_groups_may_be_kept(*, kept: bool) -> None:
    """By crun's annotation, in the first process and in further ones."""
    place = session_directory() / unique()  # which others may enter, as pytest's may not
    place.mkdir()
    rootfs = busybox_rootfs(place)
    state_directory()
    secret = rootfs / "secret"
    secret.write_text("ours\n")
    os.chown(secret, 0, 4321)  # a group that the container does not map
    secret.chmod(0o640)
    labels = [f"run.oci.keep_original_groups={int(kept)}"]
    config = make_config(rootfs, namespaces=(*USUAL, NEWUSER), labels=labels, **MAPS)

    def body() -> None:
        os.setgroups([4321])
        with running(config, user="1000:1000") as container:
            first = container.state()["pid"]
            found = run_in(container, "cat", "/secret", user="1000:1000")
            assert found.state.success is kept
            assert found.lines[0] == "ours" if kept else "denied" in found.output
            groups = Path(f"/proc/{first}/status").read_text().partition("Groups:")[2]
            assert groups.splitlines()[0].split() == (["4321"] if kept else [])

    forked(body)


@pytest.mark.parametrize("way", ["run", "held", "further"])
def test_a_pidfd_is_sent_before_the_command_runs(way: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, libct.create(state_directory(), unique(), make_config()) as container:
        if way == "further":
            container.run(libct.Process(["sleep", "60"], env=[PATH], init=True))
        process = libct.Process(
            ["sh", "-c", "exit 5"],
            env=[PATH],
            init=way != "further",
            pidfd_socket=theirs,
        )
        container.start(process, hold=way == "held")
        word, (pidfd,), _, _ = socket.recv_fds(ours, 64, 1)
        assert word == (b"setns" if way == "further" else b"standard")
        theirs.close()
        assert ours.recv(1) == b""  # nobody else holds it, in a created container either
        if way == "held":
            assert not select.select([pidfd], [], [], 0)[0]
            container.exec()
        assert select.select([pidfd], [], [], 10)[0]
        os.close(pidfd)
        assert process.wait().exit_code == 5


def test_a_pidfd_that_nobody_takes() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs, libct.create(state_directory(), unique(), make_config()) as container:
        process = libct.Process(["true"], env=[PATH], init=True, pidfd_socket=theirs)
        with pytest.raises(libct.StepError, match=r"cannot send a pidfd.*Broken pipe") as caught:
            container.run(process)
        assert caught.value.place == "pidfd_socket"
        assert container.status() == "stopped"

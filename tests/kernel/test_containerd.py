"""containerd's containers, as ctr makes them, with libct as the runtime of its shim."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.containerd import Containerd
from tests.engines import FILTERED, FORBIDDEN, IMAGE
from tests.support import CHECKOUT, default_spec, make_bundle, requires, unique, wait_until
from tests.terminals import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    requires("root", "busybox", "iproute2", "overlay", "containerd"),
    pytest.mark.usefixtures("nothing_left"),
]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Containerd]:
    containerd = Containerd()
    try:
        containerd.load_image()
        # Now the control group of the namespace is there.
        containerd("run", "--rm", IMAGE, unique(), "true", check=True)
        yield containerd
    finally:
        containerd.close()


@pytest.fixture
def ctr(daemon: Containerd) -> Iterator[Containerd]:
    yield daemon
    daemon.clear()


@pytest.fixture
def polite(ctr: Containerd) -> str:
    """The name of a running container that has trapped SIGTERM."""
    return ctr.run_polite()


def calls(ctr: Containerd, container: str) -> list[str]:
    """The commands that the shim has given to libct for a container, in their order."""
    lines = [line.split() for line in ctr.calls.read_text().splitlines()]
    names = ("create", "start", "exec", "ps", "pause", "resume", "kill", "delete", "state")
    return [next(word for word in words if word in names) for words in lines if container in words]


# --- run ---


def test_streams_and_exit_status(ctr: Containerd) -> None:
    name = unique()
    script = "echo out; echo err >&2; exit 7"
    done = ctr("run", "--rm", IMAGE, name, "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert calls(ctr, name)[:3] == ["create", "start", "delete"]
    assert name not in ctr.output("containers", "ls", "--quiet").split()


def test_the_default_profile_of_seccomp(ctr: Containerd) -> None:
    found = [
        ctr("run", "--rm", *options, IMAGE, unique(), "sh", "-c", FILTERED).stdout.split()
        for options in (["--seccomp"], [])
    ]
    assert found[0] == FORBIDDEN
    assert found[1][:2] == ["Seccomp:", "0"]


def test_standard_input(ctr: Containerd) -> None:
    # Its end must not come before ctr has started the container, which then would not see it.
    script = "echo ready; cat; echo end"
    command = ctr.command("run", "--rm", IMAGE, unique(), "sh", "-c", script)
    with subprocess.Popen(
        command,
        env={**os.environ, **ctr.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("typed\n")
        process.stdin.close()
        assert process.stdout.read() == "typed\nend\n"
    assert process.returncode == 0


def test_commands_that_cannot_be_run(ctr: Containerd, polite: str) -> None:
    for command, reason in {
        "no-such-command": 'exec: "no-such-command": executable file not found in $PATH',
        "/no/such/command": "no such file or directory",
        "/etc/passwd": "permission denied",
    }.items():
        for words, failure in (
            (["run", "--rm", IMAGE, unique()], "failed to create shim task: OCI runtime create"),
            (["tasks", "exec", "--exec-id", unique(), polite], "OCI runtime exec"),
        ):
            done = ctr(*words, command)
            assert done.returncode == 1
            begin = f"ctr: {failure} failed: unable to start container process: "
            assert done.stderr.startswith(begin)
            assert reason in done.stderr


def test_a_terminal(ctr: Containerd) -> None:
    command = ctr.command("run", "--rm", "--tty", "--env", "PS1=prompt> ", IMAGE, unique(), "sh")
    with Session(command, ctr.environment) as session:
        session.read_until("prompt> ")
        session.type("tty; stty size\n")
        session.read_until("/dev/pts/0\r+\n30 100\r+\n")  # ctr lets the outer one add another \r
        rows = itertools.count(31)

        def is_wider() -> bool:
            session.resize(next(rows), 120)  # ctr does not see a change at its start
            session.type("stty size\n")
            return " 120" in session.read_until(r"\n\d+ \d+\r+\n")

        assert wait_until(is_wider)
        session.type("exit 5\n")
        assert session.end() == 5


@pytest.mark.parametrize(
    ("options", "script", "shown"),
    [
        (["--env", "COLOUR=green", "--cwd", "/tmp"], "echo $COLOUR; pwd", "green\n/tmp\n"),
        (["--read-only"], "touch /etc/a 2>&1", "touch: /etc/a: Read-only file system\n"),
        (
            ["--mount", f"type=bind,src={CHECKOUT},dst=/mnt,options=rbind:ro"],
            "ls -d /mnt/libct; touch /mnt/a 2>&1",
            "/mnt/libct\ntouch: /mnt/a: Read-only file system\n",
        ),
        (
            ["--cap-drop", "CAP_CHOWN", "--cap-add", "CAP_NET_ADMIN"],
            "grep CapEff /proc/self/status",
            "CapEff:\t00000000a80435fa\n",
        ),
        ([], "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n"),
        (["--allow-new-privs"], "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0\n"),
        (["--net-host"], "readlink /proc/self/ns/net", "NET\n"),
        (["--with-ns", "network:/proc/1/ns/net"], "readlink /proc/self/ns/net", "NET\n"),
        (
            ["--device", "/dev/fuse"],
            "ls -l /dev/fuse | cut -c 1; : </dev/fuse && echo ok",
            "c\nok\n",
        ),
    ],
)
def test_options(ctr: Containerd, options: list[str], script: str, shown: str) -> None:
    network = os.readlink(f"/proc/{ctr.private.first}/ns/net")  # the host's, for ctr
    done = ctr("run", "--rm", *options, IMAGE, unique(), "sh", "-c", script)
    assert done.stdout == shown.replace("NET", network), done.stderr


def test_a_configuration_of_ones_own(ctr: Containerd, user_path: Path) -> None:
    """With a user namespace and with hooks; --uidmap makes ctr forget the --runc-binary."""
    name = unique()
    mapping = [{"containerID": 0, "hostID": 100000, "size": 5000}]
    script = f"cat >{user_path}/state"
    bundle = make_bundle(
        user_path,
        args=["sh", "-c", "tr -s ' ' </proc/self/uid_map; stat -c %U /etc"],
        linux={
            "namespaces": [*default_spec()["linux"]["namespaces"], {"type": "user"}],
            "uidMappings": mapping,
            "gidMappings": mapping,
            "cgroupsPath": f"/{ctr.namespace}/{name}",
        },
        hooks={"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]},
    )
    done = ctr("run", "--rm", "--config", bundle / "config.json", name)
    assert (done.returncode, done.stdout) == (0, " 0 100000 5000\nnobody\n"), done.stderr
    assert json.loads((user_path / "state").read_text())["id"] == name
    assert calls(ctr, name)[0] == "create"


@requires("cgroup1")
def test_limits(ctr: Containerd) -> None:
    name = unique()
    options = ["--memory-limit", str(64 << 20), "--cpus", "0.5", "--cpu-shares", "512"]
    group = f"{ctr.namespace}/{name}"
    bind = "type=bind,src=/sys/fs/cgroup,dst=/mnt,options=rbind:ro"  # ctr mounts none
    files = {
        f"/mnt/memory/{group}/memory.limit_in_bytes": 64 << 20,
        f"/mnt/cpu/{group}/cpu.cfs_quota_us": 50000,
        f"/mnt/cpu/{group}/cpu.shares": 512,
    }
    done = ctr("run", "--rm", *options, "--mount", bind, IMAGE, name, "cat", *files, check=True)
    assert [int(line) for line in done.stdout.split()] == list(files.values())


@requires("cgroup1")
def test_out_of_memory(ctr: Containerd, tmp_path: Path) -> None:
    """The container is killed, and the shim tells containerd why."""
    name = unique()
    with (
        open(tmp_path / "events", "wb") as file,
        subprocess.Popen(
            ctr.command("events"), env={**os.environ, **ctr.environment}, stdout=file
        ) as events,
    ):
        try:
            # ctr says nothing when it listens: call for events until it shows one.
            def listens() -> bool:
                ctr("namespaces", "label", ctr.namespace, "tried=yes")
                return (tmp_path / "events").stat().st_size > 0

            assert wait_until(listens)
            options = ["--memory-limit", str(16 << 20)]
            done = ctr("run", "--rm", *options, IMAGE, name, "tail", "/dev/zero")
            assert done.returncode == 128 + signal.SIGKILL
            oom = f'/tasks/oom {{"container_id":"{name}"}}'
            assert wait_until(lambda: oom in (tmp_path / "events").read_text())
        finally:
            for pid in Path(f"/proc/{events.pid}/task/{events.pid}/children").read_text().split():
                os.kill(int(pid), signal.SIGKILL)


# --- the life of a container ---


def test_exec(ctr: Containerd, polite: str) -> None:
    script = "echo out; echo err >&2; id -u; pwd; cat /proc/1/comm; exit 4"
    options = ["--exec-id", "one", "--user", "user", "--cwd", "/tmp"]
    done = ctr("tasks", "exec", *options, polite, "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (4, "out\n1000\n/tmp\nsh\n", "err\n")


def test_exec_with_a_terminal(ctr: Containerd, polite: str) -> None:
    command = ctr.command("tasks", "exec", "--tty", "--exec-id", "one", polite, "sh")
    with Session(command, ctr.environment) as session:
        session.read_until("# ")
        session.type("tty; stty size; exit 5\n")
        session.read_until("/dev/pts/0\r+\n30 100\r+\n")
        assert session.end() == 5


def test_exec_detached_and_ps(ctr: Containerd, polite: str) -> None:
    ctr("tasks", "exec", "--detach", "--exec-id", "one", polite, "sleep", "1234", check=True)
    rows = [line.split(maxsplit=1) for line in ctr.output("tasks", "ps", polite).splitlines()]
    assert len(rows) >= 3  # with the headings
    assert [row[1] for row in rows if "ExecID:one" in row[1]]
    ((pid, _),) = [row for row in rows if "ExecID:one" in row[1]]
    command = ctr.private.command(["cat", f"/proc/{pid}/cmdline"])
    assert subprocess.check_output(command) == b"sleep\x001234\x00"


def test_pause_and_metrics(ctr: Containerd, polite: str) -> None:
    def used() -> int:
        found = json.loads(ctr.output("tasks", "metrics", "--format", "json", polite))
        assert found["memory"]["usage"]["usage"] > 0
        return int(found["cpu"]["usage"]["total"])

    ctr("tasks", "pause", polite, check=True)
    assert ctr.status(polite) == "PAUSED"
    before = used()
    assert not wait_until(lambda: used() != before, patience=0.3)
    assert ctr("tasks", "exec", "--exec-id", "one", polite, "true").returncode != 0
    ctr("tasks", "resume", polite, check=True)
    assert ctr.status(polite) == "RUNNING"
    assert wait_until(lambda: used() > before)
    assert calls(ctr, polite) == ["create", "start", "pause", "resume"]


@pytest.mark.parametrize(("options", "status"), [([], 3), (["--signal", "KILL"], 137)])
def test_kill(ctr: Containerd, polite: str, options: list[str], status: int) -> None:
    ctr("tasks", "kill", *options, polite, check=True)
    assert wait_until(lambda: ctr.status(polite) == "STOPPED")
    done = ctr("tasks", "delete", polite, check=True)
    assert f"exit with non-zero exit code {status}" in done.stderr
    # The container is still there, and may be started again.
    log = ctr.place / f"{polite}.log"
    ctr("tasks", "start", "--detach", "--log-uri", f"file://{log}", polite, check=True)
    assert wait_until(lambda: log.read_text() == "ready\nready\n")
    assert ctr.status(polite) == "RUNNING"
    assert calls(ctr, polite).count("create") == 2


def test_delete_with_force(ctr: Containerd, polite: str) -> None:
    assert ctr("tasks", "delete", polite).returncode == 1
    assert ctr.status(polite) == "RUNNING"
    ctr("tasks", "delete", "--force", polite, check=True)
    assert ctr.status(polite) == ""
    assert calls(ctr, polite)[-2:] in (["kill", "delete"], ["delete", "delete"])


def test_a_killed_shim(ctr: Containerd, polite: str) -> None:
    """containerd removes what was its, by libct."""
    (shim,) = ctr.shims()
    os.kill(int(shim.split()[0]), signal.SIGKILL)
    assert wait_until(lambda: ctr.status(polite) in ("", "STOPPED"))
    assert calls(ctr, polite)[-1] == "delete"

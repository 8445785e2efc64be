"""Docker's containers, with libct as the runtime that makes them."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docker import Docker
from tests.engines import ALLOWED, FILTERED, FORBIDDEN, IMAGE, POLITE
from tests.support import busybox, requires, run, unique, wait_until
from tests.terminals import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    requires("root", "busybox", "overlay", "bridge", "docker"),
    pytest.mark.usefixtures("nothing_left"),
]

# The capabilities that Docker gives by default (capabilities(7)).
DEFAULT_CAPABILITIES = 0xA80425FB
CAP_CHOWN = 1 << 0
CAP_NET_ADMIN = 1 << 12
CAP_SYS_ADMIN = 1 << 21
ALONE = ["--network", "none"]
STATUS = ["grep", "^Cap", "/proc/self/status"]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Docker]:
    docker = Docker()
    try:
        docker.load_image()
        docker("run", "--rm", IMAGE, "true", check=True)  # now the control groups are there
        yield docker
    finally:
        docker.close()


@pytest.fixture
def docker(daemon: Docker) -> Iterator[Docker]:
    yield daemon
    daemon.clear()


@pytest.fixture
def polite(docker: Docker) -> str:
    """The name of a running container that has trapped SIGTERM."""
    return docker.run_polite(*ALONE)


def capabilities(status: str) -> dict[str, int]:
    return {key: int(value, 16) for key, value in re.findall(r"Cap(\w+):\t(\w+)", status)}


# --- run ---


def test_streams_and_exit_status(docker: Docker) -> None:
    script = "cat; echo to stderr >&2; exit 7"
    done = docker(
        "run", *ALONE, "--rm", "--interactive", IMAGE, "sh", "-c", script, input="typed\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "typed\n", "to stderr\n")
    assert docker.output("ps", "--all", "--quiet") == ""


def test_the_runtime_is_libct(docker: Docker, polite: str) -> None:
    identity = docker.inspect(polite, "{{.Id}} {{.HostConfig.Runtime}}").split()
    assert identity[1] == "libct"
    calls = docker.containerd.calls.read_text().splitlines()
    (create,) = (call for call in calls if call.endswith(f"init.pid {identity[0]}"))
    assert " create --bundle " in create


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--no-such-option", IMAGE, "true"], 125),  # docker itself
        (["--sysctl", "kernel.shm_rmid_forced=2", IMAGE, "true"], 125),  # the runtime
        ([IMAGE, "/etc/passwd"], 126),
        ([IMAGE, "/etc"], 126),
        ([IMAGE, "no-such-command"], 127),
        ([IMAGE, "/no/such/command"], 127),
        ([IMAGE, "sh", "-c", "kill -KILL $$; kill -TERM $$; exit 9"], 9),  # process 1 is spared
    ],
)
def test_exit_statuses(docker: Docker, words: list[str], status: int) -> None:
    done = docker("run", "--rm", *ALONE, *words)
    assert done.returncode == status, done.stderr
    assert docker.output("ps", "--all", "--quiet") == ""


def test_a_terminal(docker: Docker) -> None:
    command = docker.command("run", "--rm", "-it", "--env", "PS1=prompt> ", IMAGE, "sh")
    with Session(command, docker.environment) as session:
        session.read_until("prompt> ")
        session.type("tty; stty size; ls -l /dev/console\n")
        session.read_until("/dev/pts/0\r\n30 100\r\ncrw--w---- .* /dev/console\r\n")
        session.resize(40, 120)
        session.type("until stty size | grep '^40 120'; do sleep 0.1; done\n")
        session.read_until("\n40 120\r\n")
        session.type("exit 5\n")
        assert session.end() == 5


def test_detached_with_logs(docker: Docker) -> None:
    name = unique()
    script = "echo out; echo err >&2; exit 6"
    docker("run", *ALONE, "--detach", "--name", name, IMAGE, "sh", "-c", script, check=True)
    assert docker.output("wait", name) == "6\n"
    logs = docker("logs", name, check=True)
    assert (logs.stdout, logs.stderr) == ("out\n", "err\n")
    assert docker.inspect(name, "{{.State.Status}} {{.State.ExitCode}}") == "exited 6"
    docker("start", "--attach", name)
    assert docker.output("logs", name) == "out\nout\n"


@pytest.mark.parametrize(
    ("options", "script", "shown"),
    [
        (
            ["--user", "1000:29", "--security-opt", "no-new-privileges"],
            "id; grep NoNewPrivs /proc/self/status",
            "uid=1000(user) gid=29(audio) groups=29(audio) NoNewPrivs: 1",
        ),
        (
            ["--user", "daemon", "--group-add", "7", "--hostname", "box", "--workdir", "/var/tmp"],
            "id; hostname; pwd",
            "uid=1(daemon) gid=1(daemon) groups=1(daemon),7,2000(extra) box /var/tmp",
        ),
        (
            ["--ulimit", "nofile=256:512", "--ulimit", "core=0", "--oom-score-adj", "500"],
            "ulimit -Sn; ulimit -Hn; ulimit -Sc; cat /proc/self/oom_score_adj",
            "256 512 0 500",
        ),
        (
            ["--sysctl", "net.ipv4.ip_forward=1", "--env", "COLOUR=green"],
            "cat /proc/sys/net/ipv4/ip_forward; echo $COLOUR",
            "1 green",
        ),
        (
            ["--read-only", "--tmpfs", "/run"],
            "touch /run/a && touch /etc/a 2>&1",
            "touch: /etc/a: Read-only file system",
        ),
        (
            ["--tmpfs", "/mnt:size=64k,noexec,mode=1770", "--shm-size", "1m"],
            "grep -E ' (/mnt|/dev/shm) ' /proc/mounts | cut -d' ' -f 4 | cut -d, -f 4-7",
            "noexec,relatime,size=1024k noexec,relatime,size=64k,mode=1770",
        ),
        # A child of the command's that it leaves behind is waited for by process 1.
        (
            ["--init"],
            "cat /proc/1/comm; (sh -c : & exec true); sleep 0.5; cat /proc/*/stat | grep -c ') Z'",
            "docker-init 0",
        ),
        (
            ["--device", "/dev/fuse:/dev/fuse:r"],
            "(: </dev/fuse) && echo read; (: >/dev/fuse) || echo refused",
            "read refused",
        ),
        (
            ["--privileged"],
            "mount -t tmpfs tmpfs /mnt && grep -c ' /mnt ' /proc/mounts",
            "1",
        ),
    ],
)
def test_options(docker: Docker, options: list[str], script: str, shown: str) -> None:
    done = docker("run", "--rm", *ALONE, *options, IMAGE, "sh", "-c", script)
    assert done.stdout.split() == shown.split(), done.stderr


@pytest.mark.parametrize(
    ("options", "effective"),
    [
        ([], DEFAULT_CAPABILITIES),
        (["--cap-drop", "all"], 0),
        (["--cap-drop", "all", "--cap-add", "chown"], CAP_CHOWN),
        (["--cap-add", "net_admin"], DEFAULT_CAPABILITIES | CAP_NET_ADMIN),
    ],
)
def test_capabilities(docker: Docker, options: list[str], effective: int) -> None:
    found = capabilities(docker.output("run", "--rm", *ALONE, *options, IMAGE, *STATUS))
    assert found["Eff"] == found["Prm"] == found["Bnd"] == effective
    assert found["Amb"] == 0


def test_the_default_profile_of_seccomp(docker: Docker, polite: str) -> None:
    command = *ALONE, IMAGE, "sh", "-c", FILTERED
    assert docker("run", "--rm", *command).stdout.split() == FORBIDDEN
    assert docker("exec", polite, "sh", "-c", FILTERED).stdout.split() == FORBIDDEN
    options = ["--security-opt", "seccomp=unconfined"]
    assert docker("run", "--rm", *options, *command).stdout.split() == ALLOWED


@requires("cgroup1")
def test_limits(docker: Docker) -> None:
    options = [*ALONE, "--memory", "64m", "--memory-reservation", "32m", "--pids-limit", "20"]
    options += ["--cpus", "0.5", "--cpuset-cpus", "0", "--cpu-shares", "512"]
    files = {
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": 64 << 20,
        "/sys/fs/cgroup/memory/memory.soft_limit_in_bytes": 32 << 20,
        "/sys/fs/cgroup/pids/pids.max": 20,
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": 50000,
        "/sys/fs/cgroup/cpu/cpu.shares": 512,
        "/sys/fs/cgroup/cpuset/cpuset.cpus": 0,
    }
    name = docker.run_polite(*options)
    assert [int(line) for line in docker.output("exec", name, "cat", *files).split()] == [
        *files.values()
    ]
    options = ["--memory", "96m", "--memory-swap", "96m", "--cpus", "0.25"]
    docker("update", *options, name, check=True)
    files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = 96 << 20
    files["/sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = 25000
    assert [int(line) for line in docker.output("exec", name, "cat", *files).split()] == [
        *files.values()
    ]


@requires("cgroup1")
def test_the_limits_hold(docker: Docker) -> None:
    options = [*ALONE, "--memory", "16m", "--memory-swap", "16m", "--pids-limit", "8"]
    script = "for n in 1 2 3 4 5 6 7 8 9; do sleep 1 & done"
    assert "can't fork" in docker("run", "--rm", *options, IMAGE, "sh", "-c", script).stderr
    name = unique()
    done = docker("run", "--name", name, *options, IMAGE, "tail", "/dev/zero")
    assert done.returncode == 128 + signal.SIGKILL
    assert wait_until(lambda: docker.inspect(name, "{{.State.OOMKilled}}") == "true")


@pytest.mark.parametrize(
    ("options", "shown", "writable"),
    [
        ("", "rw", True),
        ("ro", "ro", False),
        ("Z", "rw", True),
    ],
)
def test_volumes(docker: Docker, tmp_path: Path, options: str, shown: str, writable: bool) -> None:
    volume = ":".join(filter(None, (str(tmp_path), "/mnt", options)))
    script = "grep ' /mnt ' /proc/self/mountinfo; touch /mnt/file"
    done = docker("run", "--rm", *ALONE, "--volume", volume, IMAGE, "sh", "-c", script)
    assert f" /mnt {shown}," in done.stdout
    assert (done.returncode == 0) == writable == (tmp_path / "file").exists()


def test_a_named_volume(docker: Docker) -> None:
    name = unique()
    docker(
        "run", "--rm", *ALONE, "--volume", f"{name}:/root", IMAGE, "touch", "/root/file", check=True
    )
    try:
        assert (
            docker.output("run", "--rm", *ALONE, "-v", f"{name}:/mnt", IMAGE, "ls", "/mnt")
            == "file\n"
        )
    finally:
        docker("volume", "rm", name, check=True)


# --- the life of a container ---


def test_exec(docker: Docker, polite: str) -> None:
    done = docker("exec", "-i", polite, "sh", "-c", "cat; echo err >&2; exit 4", input="typed\n")
    assert (done.returncode, done.stdout, done.stderr) == (4, "typed\n", "err\n")
    options = ["--user", "user", "--workdir", "/tmp", "--env", "COLOUR=green"]
    script = "id -un; id -G; pwd; echo $COLOUR; cat /proc/1/comm"
    done = docker("exec", *options, polite, "sh", "-c", script)
    assert done.stdout == "user\n1000 29 2000\n/tmp\ngreen\nsh\n", done.stderr
    assert capabilities(docker.output("exec", polite, *STATUS))["Eff"] == DEFAULT_CAPABILITIES
    privileged = docker.output("exec", "--privileged", polite, *STATUS)
    assert capabilities(privileged)["Eff"] & CAP_SYS_ADMIN


def test_exit_statuses_of_exec(docker: Docker, polite: str) -> None:
    for words, statuses in [
        ([polite, "no-such-command"], (126, 127)),  # 126 of Docker 20.10, with runc, too
        ([polite, "/no/such/command"], (126, 127)),
        ([polite, "/etc/passwd"], (126,)),
        (["no-such-container", "true"], (1,)),
        ([polite, "sh", "-c", "kill -KILL $$"], (128 + signal.SIGKILL,)),
    ]:
        done = docker("exec", *words)
        assert done.returncode in statuses, (words, done.stderr)


def test_exec_with_a_terminal(docker: Docker, polite: str) -> None:
    command = docker.command("exec", "-it", "--env", "PS1=prompt> ", polite, "sh")
    with Session(command, docker.environment) as session:
        session.read_until("prompt> ")
        session.type("tty; stty size; exit 5\n")
        session.read_until("/dev/pts/0\r\n30 100\r\n")
        assert session.end() == 5


def test_exec_detached_top_and_stats(docker: Docker, polite: str) -> None:
    docker("exec", "--detach", "--user", "daemon", polite, "sleep", "1234", check=True)

    def rows() -> list[list[str]]:
        text = docker.output("top", polite, "-ww", "-o", "pid,user,args")
        return [row.split()[1:] for row in text.splitlines()[1:]]

    assert wait_until(lambda: ["daemon", "sleep", "1234"] in rows())
    assert ["root", "sh", "-c", *POLITE.split()] in rows()
    found = json.loads(docker.output("stats", "--no-stream", "--format", "{{json .}}", polite))
    assert found["Name"] == polite
    assert int(found["PIDs"]) >= 2
    assert not found["MemUsage"].startswith("0B")


def test_stop_start_and_restart(docker: Docker, polite: str) -> None:
    docker("stop", polite, check=True)
    assert docker.inspect(polite, "{{.State.Status}} {{.State.ExitCode}}") == "exited 3"
    docker("start", polite, check=True)  # again, as it was
    assert docker.inspect(polite, "{{.State.Status}}") == "running"
    docker("restart", "--time", "0", polite, check=True)
    assert docker.inspect(polite, "{{.State.Status}}") == "running"
    docker("stop", "--time", "0", polite, check=True)


def test_stop_of_one_that_does_not(docker: Docker) -> None:
    name = unique()
    docker("run", *ALONE, "--detach", "--name", name, IMAGE, "sleep", "1000", check=True)
    docker("stop", "--time", "1", name, check=True)
    assert docker.inspect(name, "{{.State.ExitCode}}") == str(128 + signal.SIGKILL)


def test_kill(docker: Docker) -> None:
    name = unique()
    script = "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"
    docker("run", *ALONE, "--detach", "--name", name, IMAGE, "sh", "-c", script, check=True)
    assert wait_until(lambda: docker.output("logs", name) == "ready\n")
    docker("kill", "--signal", "USR1", name, check=True)
    assert wait_until(lambda: docker.output("logs", name) == "ready\nusr1\n")
    docker("kill", name, check=True)
    assert docker.output("wait", name).strip() == str(128 + signal.SIGKILL)
    assert docker("kill", name).returncode == 1


def test_pause(docker: Docker, tmp_path: Path) -> None:
    name = unique()
    script = "n=0; while :; do n=$((n+1)); echo $n >/mnt/count; sleep 0.01; done"
    options = [*ALONE, "--detach", "--name", name, "--volume", f"{tmp_path}:/mnt"]
    docker("run", *options, IMAGE, "sh", "-c", script, check=True)
    count = tmp_path / "count"
    assert wait_until(count.exists)
    docker("pause", name, check=True)
    assert docker.inspect(name, "{{.State.Status}}") == "paused"
    before = count.read_text()
    assert not wait_until(lambda: count.read_text() != before, patience=0.3)
    assert docker("exec", name, "true").returncode != 0
    docker("unpause", name, check=True)
    assert wait_until(lambda: count.read_text() not in (before, ""))
    docker("pause", name, check=True)
    docker("rm", "--force", name, check=True)


def test_build(docker: Docker, tmp_path: Path) -> None:
    lines = [
        f"FROM {IMAGE}",
        "RUN grep Seccomp: /proc/self/status >/made",
        "USER 1000",
        "RUN id -u",
    ]
    (tmp_path / "Dockerfile").write_text("\n".join(lines))
    name = unique()
    docker("build", "--network", "none", "--tag", name, tmp_path, check=True)
    assert docker.output("run", "--rm", *ALONE, name, "cat", "/made").split() == ["Seccomp:", "2"]
    assert docker.output("run", "--rm", *ALONE, name, "id", "-u") == "1000\n"
    docker("rmi", "--force", name, check=True)


def test_create_start_and_copies(docker: Docker, tmp_path: Path) -> None:
    name = unique()
    docker(
        "create",
        *ALONE,
        "-i",
        "--name",
        name,
        IMAGE,
        "sh",
        "-c",
        "read line; cat $line",
        check=True,
    )
    assert docker.inspect(name, "{{.State.Status}}") == "created"
    (tmp_path / "file").write_text("text")
    docker("cp", tmp_path / "file", f"{name}:/tmp/copy", check=True)
    done = docker("start", "--attach", "--interactive", name, input="/tmp/copy\n")
    assert (done.returncode, done.stdout) == (0, "text"), done.stderr
    assert "A /tmp/copy\n" in docker.output("diff", name)


def test_a_daemon_that_restarts_what_ends(docker: Docker) -> None:
    name = unique()
    command = [IMAGE, "sh", "-c", "echo once; exit 3"]
    docker(
        "run", *ALONE, "--detach", "--restart", "on-failure:2", "--name", name, *command, check=True
    )
    assert wait_until(lambda: docker.output("logs", name) == "once\n" * 3)
    assert docker.output("wait", name) == "3\n"
    assert docker.inspect(name, "{{.RestartCount}}") == "2"


# --- namespaces and networks ---


def test_no_network(docker: Docker) -> None:
    text = docker.output("run", "--rm", "--network", "none", IMAGE, "ip", "-o", "link")
    assert re.findall(r"^\d+: (\w+)", text, re.MULTILINE) == ["lo"]


def test_namespaces_of_the_host_and_of_another(docker: Docker) -> None:
    """What is the host's here is the daemon's."""
    kinds = ("ipc", "net", "pid")
    show = ["sh", "-c", f"for kind in {' '.join(kinds)}; do readlink /proc/self/ns/$kind; done"]

    def links(*options: str) -> list[str]:
        return docker.output("run", "--rm", *options, IMAGE, *show).split()

    host = [os.readlink(f"/proc/{docker.private.first}/ns/{kind}") for kind in kinds]
    assert links(*(f"--{kind}=host" for kind in kinds)) == host
    assert not set(links()) & set(host)
    other = docker.run_polite("--ipc", "shareable")
    theirs = docker.output("exec", other, *show).split()
    assert links(*(f"--{kind}=container:{other}" for kind in kinds)) == theirs


@requires("veth")
def test_the_default_bridge(docker: Docker) -> None:
    name = docker.run_polite()
    address = docker.inspect(name, "{{.NetworkSettings.IPAddress}}")
    ping = ["ping", "-c", "1", "-W", "5"]
    docker("run", "--rm", IMAGE, *ping, address, check=True)
    docker("run", "--rm", "--link", f"{name}:other", IMAGE, *ping, "other", check=True)


@requires("veth")
def test_a_network_with_names(docker: Docker) -> None:
    network = unique("net")
    docker("network", "create", network, check=True)
    try:
        script = "while :; do echo served | nc -l -p 80; done"
        name = unique()
        options = ["--detach", "--name", name, "--network", network, "--publish", "8080:80"]
        docker("run", *options, IMAGE, "sh", "-c", script, check=True)
        ask = ["sh", "-c", f"until nc {name} 80; do sleep 0.1; done"]
        assert docker.output("run", "--rm", "--network", network, IMAGE, *ask) == "served\n"
        script = f"until {busybox()} nc 127.0.0.1 8080 | grep served; do sleep 0.1; done"
        assert run(docker.private.command(["sh", "-c", script])).stdout == "served\n"
        other = docker.run_polite()
        docker("network", "connect", network, other, check=True)
        assert docker.output("exec", other, *ask) == "served\n"
        docker("network", "disconnect", network, other, check=True)
        docker("rm", "--force", name, other, check=True)
    finally:
        docker("network", "rm", network, check=True)

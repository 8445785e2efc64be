"""Podman's containers, with libct as the runtime that makes them."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from libct.cgroups.layout import detect
from tests.engines import POLITE
from tests.podman import IMAGE, Podman, called_under_profiles
from tests.support import requires, run, unique, wait_until
from tests.terminals import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    requires("root", "busybox", "overlay", "podman"),
    pytest.mark.usefixtures("nothing_left"),
]

# Says that it is there, and ends with 3 when it is asked to.
# The capabilities that podman gives by default, and one that it does not (capabilities(7)).
DEFAULT_CAPABILITIES = 0xA80425FB
CAP_NET_ADMIN = 1 << 12


@pytest.fixture(scope="module")
def storage() -> Iterator[Podman]:
    podman = Podman()
    try:
        podman("run", "--rm", IMAGE, "true", check=True)  # now the control groups are there
        yield podman
    finally:
        podman.close()


@pytest.fixture
def podman(storage: Podman) -> Iterator[Podman]:
    yield storage
    storage.clear()


@pytest.fixture
def polite(podman: Podman) -> str:
    """The name of a running container that has trapped SIGTERM."""
    return podman.run_polite()


def capabilities(podman: Podman, *options: str) -> dict[str, int]:
    text = podman.output("run", "--rm", *options, IMAGE, "grep", "^Cap", "/proc/self/status")
    return {key: int(value, 16) for key, value in re.findall(r"Cap(\w+):\t(\w+)", text)}


# --- run ---


def test_streams_and_exit_status(podman: Podman) -> None:
    script = "cat; echo to stderr >&2; exit 7"
    done = podman("run", "--rm", "--interactive", IMAGE, "sh", "-c", script, input="typed\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, "typed\n", "to stderr\n")
    assert podman.output("ps", "--all", "--quiet") == ""


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--no-such-option", IMAGE, "true"], 125),  # podman itself
        (["--ulimit", "nofile=2000000000:2000000000", IMAGE, "true"], 126),  # the runtime
        ([IMAGE, "/etc/passwd"], 126),
        ([IMAGE, "/etc"], 126),
        ([IMAGE, "no-such-command"], 127),
        ([IMAGE, "/no/such/command"], 127),
        ([IMAGE, "sh", "-c", "kill -KILL $$; kill -TERM $$; exit 9"], 9),  # process 1 is spared
    ],
)
def test_exit_statuses(podman: Podman, words: list[str], status: int) -> None:
    done = podman("run", "--rm", *words)
    assert done.returncode == status, done.stderr
    assert podman.output("ps", "--all", "--quiet") == ""


@requires("compiler")
def test_the_default_profile_of_seccomp(podman: Podman) -> None:
    assert called_under_profiles(podman) == [
        ["vmsplice: Operation not permitted", "Seccomp:\t2"],
        ["vmsplice: Bad file descriptor", "Seccomp:\t0"],
    ]


def test_a_terminal(podman: Podman) -> None:
    command = podman.command("run", "--rm", "-it", "--env", "PS1=prompt> ", IMAGE, "sh")
    with Session(command, podman.environment) as session:
        session.read_until("prompt> ")
        session.type("tty; stty size; ls -l /dev/console\n")
        session.read_until("/dev/pts/0\r\n30 100\r\ncrw--w---- .* /dev/console\r\n")
        session.resize(40, 120)
        session.type("until stty size | grep '^40 120'; do sleep 0.1; done\n")
        session.read_until("\n40 120\r\n")
        session.type("exit 5\n")
        assert session.end() == 5


def test_detached_with_logs(podman: Podman) -> None:
    name = unique()
    script = "echo out; echo err >&2; exit 6"
    podman("run", "--detach", "--name", name, IMAGE, "sh", "-c", script, check=True)
    assert podman.output("wait", name) == "6\n"
    logs = podman("logs", name, check=True)
    assert (logs.stdout, logs.stderr) == ("out\n", "err\n")
    state = "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}} {{.OCIRuntime}}"
    assert podman.inspect(name, state) == f"exited 6 0 {podman.runtime}"
    podman("start", "--attach", name)
    assert podman.output("logs", name) == "out\nout\n"


def test_user(podman: Podman) -> None:
    def ids(*options: str) -> str:
        return podman.output("run", "--rm", *options, IMAGE, "id")

    assert ids("--user", "1000:29") == "uid=1000(user) gid=29(audio) groups=29(audio)\n"
    named = "uid=1000(user) gid=1000(user) groups=29(audio),1000(user),2000(extra)\n"
    assert ids("--user", "user") == named
    added = "uid=1(daemon) gid=1(daemon) groups=1(daemon),7,2000(extra)\n"
    assert ids("--user", "daemon", "--group-add", "7") == added


def test_hostname_working_directory_and_environment(podman: Podman) -> None:
    options = ["--hostname", "box", "--workdir", "/var/tmp", "--env", "COLOUR=green"]
    script = "hostname; pwd; echo $COLOUR; echo $container"
    done = podman.output("run", "--rm", *options, IMAGE, "sh", "-c", script)
    assert done == "box\n/var/tmp\ngreen\npodman\n"


def test_capabilities(podman: Podman) -> None:
    usual = capabilities(podman)
    assert usual["Eff"] == usual["Prm"] == usual["Bnd"] == DEFAULT_CAPABILITIES
    assert usual["Amb"] == 0
    assert set(capabilities(podman, "--cap-drop", "all").values()) == {0}
    assert capabilities(podman, "--cap-add", "net_admin")["Eff"] == (
        DEFAULT_CAPABILITIES | CAP_NET_ADMIN
    )
    user = capabilities(podman, "--user", "1000", "--cap-add", "net_admin")
    assert user["Eff"] == user["Amb"] == CAP_NET_ADMIN


def test_no_new_privileges(podman: Podman) -> None:
    option = "--security-opt=no-new-privileges"
    status = podman.output("run", "--rm", option, IMAGE, "cat", "/proc/self/status")
    assert "NoNewPrivs:\t1\n" in status


def test_privileged(podman: Podman) -> None:
    ours = int(re.findall(r"CapBnd:\t(\w+)", Path("/proc/self/status").read_text())[0], 16)
    assert capabilities(podman, "--privileged")["Eff"] == ours
    script = "test -c /dev/null && mount -t tmpfs tmpfs /mnt && ls /sys/kernel >/dev/null"
    podman("run", "--rm", "--privileged", IMAGE, "sh", "-c", script, check=True)


def test_a_device(podman: Podman) -> None:
    script = "ls -l /dev/fuse; : </dev/fuse && : >/dev/fuse"
    options = ["--device", "/dev/fuse:/dev/fuse:r"]
    done = podman("run", "--rm", *options, IMAGE, "sh", "-c", script)
    assert re.match("crw.* 10, 229 .* /dev/fuse\n", done.stdout), done.stderr
    assert done.stderr.count("\n") == 1  # it may be read, and not written
    assert "Operation not permitted" in done.stderr


def test_init(podman: Podman) -> None:
    # A child of the command's that it leaves behind is waited for by process 1.
    script = "cat /proc/1/comm; (sh -c : & exec true); sleep 0.5; ps | grep -c Z; exit 4"
    done = podman("run", "--rm", "--init", IMAGE, "sh", "-c", script)
    assert (done.returncode, done.stdout.split()[0]) == (4, "podman-init"), done.stderr


def test_sysctls_and_oom_score(podman: Podman) -> None:
    options = ["--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.msgmax=1000"]
    files = ["net/ipv4/ip_forward", "kernel/msgmax", "self/oom_score_adj"]
    paths = [f"/proc/{'' if name.startswith('self') else 'sys/'}{name}" for name in files]
    done = podman.output("run", "--rm", *options, "--oom-score-adj", "500", IMAGE, "cat", *paths)
    assert done.split() == ["1", "1000", "500"]


def test_limits(podman: Podman) -> None:
    options = ["--memory", "64m", "--memory-reservation", "32m", "--pids-limit", "20"]
    options += ["--cpus", "0.5", "--cpuset-cpus", "0", "--cpu-shares", "512"]
    files = {
        "memory/memory.limit_in_bytes": 64 << 20,
        "memory/memory.soft_limit_in_bytes": 32 << 20,
        "pids/pids.max": 20,
        "cpu/cpu.cfs_quota_us": 50000,
        "cpu/cpu.shares": 512,
        "cpuset/cpuset.cpus": 0,
    }
    paths = [f"/sys/fs/cgroup/{name}" for name in files]
    done = podman.output("run", "--rm", *options, IMAGE, "cat", *paths)
    assert [int(line) for line in done.splitlines()] == list(files.values())


def test_limits_are_changed(podman: Podman, polite: str) -> None:
    podman("update", "--memory", "64m", "--cpus", "0.5", polite, check=True)
    files = ["memory/memory.limit_in_bytes", "cpu/cpu.cfs_quota_us"]
    paths = [f"/sys/fs/cgroup/{name}" for name in files]
    assert podman.output("exec", polite, "cat", *paths).split() == [str(64 << 20), "50000"]


def test_the_limits_hold(podman: Podman) -> None:
    name = unique()
    options = ["--memory", "16m", "--memory-swap", "16m", "--pids-limit", "8"]
    script = "for n in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; tail /dev/zero; exit $?"
    done = podman("run", "--name", name, *options, IMAGE, "sh", "-c", script)
    assert "can't fork" in done.stderr
    done = podman("run", "--rm", *options[:4], IMAGE, "tail", "/dev/zero")
    assert done.returncode == 128 + signal.SIGKILL


def test_ulimits(podman: Podman) -> None:
    script = "ulimit -Sn; ulimit -Hn; ulimit -Sc"
    options = ["--ulimit", "nofile=256:512", "--ulimit", "core=0", "--ulimit", "nproc=100:100"]
    assert podman.output("run", "--rm", *options, IMAGE, "sh", "-c", script) == "256\n512\n0\n"


# --- file systems ---


def test_a_read_only_root(podman: Podman) -> None:
    script = "touch /tmp/a /run/a /dev/shm/a && touch /etc/a"
    done = podman("run", "--rm", "--read-only", IMAGE, "sh", "-c", script)
    assert done.returncode == 1
    assert done.stderr == "touch: /etc/a: Read-only file system\n"


def test_tmpfs(podman: Podman) -> None:
    script = "grep ' /mnt ' /proc/mounts; ls -ld /mnt"
    options = ["--tmpfs", "/mnt:size=64k,noexec,mode=1770"]
    done = podman.output("run", "--rm", *options, IMAGE, "sh", "-c", script)
    assert done.startswith("tmpfs /mnt tmpfs rw,nosuid,nodev,noexec,relatime,size=64k,mode=1770 ")
    assert done.splitlines()[1].startswith("drwxrwx--T")


@pytest.mark.parametrize(
    ("options", "shown", "writable"),
    [
        ("", "rw,relatime -", True),
        ("ro", "ro,relatime -", False),
        ("Z", "rw,relatime -", True),
        ("z,ro", "ro,relatime -", False),
        ("ro,rslave", "ro,relatime -", False),
        ("rprivate,nosuid,nodev,noexec", "rw,nosuid,nodev,noexec,relatime -", True),
    ],
)
def test_volumes(podman: Podman, tmp_path: Path, options: str, shown: str, writable: bool) -> None:
    volume = ":".join(filter(None, (str(tmp_path), "/mnt", options)))
    script = "grep ' /mnt ' /proc/self/mountinfo; touch /mnt/file"
    done = podman("run", "--rm", "--volume", volume, IMAGE, "sh", "-c", script)
    assert f" /mnt {shown} " in done.stdout
    assert (done.returncode == 0) == writable == (tmp_path / "file").exists()


def test_an_overlay_of_a_volume(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    script = "rm /mnt/file && touch /mnt/other"
    podman("run", "--rm", "--volume", f"{tmp_path}:/mnt:O", IMAGE, "sh", "-c", script, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_named_volume(podman: Podman) -> None:
    name = unique()
    podman("run", "--rm", "--volume", f"{name}:/root", IMAGE, "touch", "/root/file", check=True)
    try:
        assert podman.output("run", "--rm", "-v", f"{name}:/mnt", IMAGE, "ls", "/mnt") == "file\n"
    finally:
        podman("volume", "rm", name, check=True)


# --- the life of a container ---


def test_exec(podman: Podman, polite: str) -> None:
    done = podman("exec", "-i", polite, "sh", "-c", "cat; echo err >&2; exit 4", input="typed\n")
    assert (done.returncode, done.stdout, done.stderr) == (4, "typed\n", "err\n")
    options = ["--user", "user", "--workdir", "/tmp", "--env", "COLOUR=green"]
    script = "id -un; id -G; pwd; echo $COLOUR $container; cat /proc/1/comm; ulimit -n"
    done = podman("exec", *options, polite, "sh", "-c", script)
    assert done.stdout == "user\n1000 29 2000\n/tmp\ngreen podman\nsh\n1024\n", done.stderr


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["NAME", "no-such-command"], 127),
        (["NAME", "/no/such/command"], 127),
        (["--workdir", "/no/such", "NAME", "true"], 127),
        (["NAME", "/etc/passwd"], 126),
        (["NAME", "/etc"], 126),
        (["no-such-container", "true"], 125),
        (["NAME", "sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
    ],
)
def test_exit_statuses_of_exec(podman: Podman, polite: str, words: list[str], status: int) -> None:
    done = podman("exec", *(polite if word == "NAME" else word for word in words))
    assert done.returncode == status, done.stderr


def test_exec_with_a_terminal(podman: Podman, polite: str) -> None:
    command = podman.command("exec", "-it", "--env", "PS1=prompt> ", polite, "sh")
    with Session(command, podman.environment) as session:
        session.read_until("prompt> ")
        session.type("tty; stty size; exit 5\n")
        session.read_until("/dev/pts/0\r\n30 100\r\n")
        assert session.end() == 5


def test_exec_detached_and_top(podman: Podman, polite: str) -> None:
    podman("exec", "--detach", "--user", "daemon", polite, "sleep", "1234", check=True)
    rows = podman.output("top", polite, "pid", "user", "args").splitlines()[1:]
    assert any(row.split() == ["1", "root", "sh", "-c", *POLITE.split()] for row in rows)
    assert any(row.split()[1:] == ["daemon", "sleep", "1234"] for row in rows)
    # With options of ps, podman executes that in the container.
    assert "sleep 1234" in podman.output("top", polite, "-o", "pid,args")


def test_exec_privileged_and_preserved_descriptors(podman: Podman, polite: str) -> None:
    ours = re.findall(r"CapBnd:\t(\w+)", Path("/proc/self/status").read_text())[0]
    status = podman.output("exec", "--privileged", polite, "cat", "/proc/self/status")
    assert f"CapEff:\t{ours}\n" in status
    command = podman.command("exec", "--preserve-fds", "1", polite, "sh", "-c", "cat <&3")
    reader, writer = os.pipe()
    os.write(writer, b"through three\n")
    os.close(writer)
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 3<&0 </dev/null', "sh", *command],
        env={**os.environ, **podman.environment},
        stdin=reader,
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(reader)
    assert (done.returncode, done.stdout) == (0, "through three\n"), done.stderr


def test_stop(podman: Podman, polite: str) -> None:
    podman("stop", polite, check=True)
    assert podman.inspect(polite, "{{.State.Status}} {{.State.ExitCode}}") == "exited 3"
    podman("start", polite, check=True)  # again, as it was
    assert podman.inspect(polite, "{{.State.Status}}") == "running"
    podman("rm", "--force", polite, check=True)
    stubborn = unique()
    podman("run", "-d", "--name", stubborn, IMAGE, "sleep", "1000", check=True)
    podman("stop", "--time", "1", stubborn, check=True)
    assert podman.inspect(stubborn, "{{.State.ExitCode}}") == str(128 + signal.SIGKILL)


def test_kill(podman: Podman) -> None:
    name = unique()
    script = "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"
    podman("run", "--detach", "--name", name, IMAGE, "sh", "-c", script, check=True)
    assert wait_until(lambda: podman.output("logs", name) == "ready\n")
    podman("kill", "--signal", "USR1", name, check=True)
    assert wait_until(lambda: podman.output("logs", name) == "ready\nusr1\n")
    podman("kill", name, check=True)
    assert podman.output("wait", name).strip() == str(128 + signal.SIGKILL)
    assert podman("kill", name).returncode == 125


def test_pause(podman: Podman) -> None:
    name = unique()
    script = "n=0; while :; do n=$((n+1)); echo $n >/tmp/count; sleep 0.01; done"
    podman("run", "--detach", "--name", name, IMAGE, "sh", "-c", script, check=True)
    count = Path(f"/proc/{podman.inspect(name, '{{.State.Pid}}')}/root/tmp/count")
    assert wait_until(count.exists)
    podman("pause", name, check=True)
    assert podman.inspect(name, "{{.State.Status}}") == "paused"
    before = count.read_text()
    assert not wait_until(lambda: count.read_text() != before, patience=0.3)
    assert podman("exec", name, "true").returncode != 0
    podman("unpause", name, check=True)
    assert wait_until(lambda: count.read_text() not in (before, ""))
    podman("rm", "--force", "--time", "0", name, check=True)


def test_a_paused_container_is_removed(podman: Podman, polite: str) -> None:
    podman("pause", polite, check=True)
    podman("rm", "--force", "--time", "0", polite, check=True)


def test_create_start_attach_and_restart(podman: Podman) -> None:
    name = unique()
    options = ["--interactive", "--name", name]
    podman("create", *options, IMAGE, "sh", "-c", "read line; echo got $line", check=True)
    assert podman.inspect(name, "{{.State.Status}}") == "created"
    done = podman("start", "--attach", "--interactive", name, input="word\n")
    assert (done.returncode, done.stdout) == (0, "got word\n"), done.stderr
    podman("restart", name, check=True)
    assert podman.inspect(name, "{{.State.Status}}") in ("running", "exited")


def test_init_makes_a_container_without_starting_it(podman: Podman) -> None:
    name = unique()
    podman("create", "--name", name, IMAGE, "echo", "done", check=True)
    podman("init", name, check=True)
    assert podman.inspect(name, "{{.State.Status}}") == "initialized"
    assert int(podman.inspect(name, "{{.State.Pid}}")) > 0
    podman("start", name, check=True)
    assert podman.output("wait", name) == "0\n"


def test_a_command_that_fails_late_leaves_no_mount(podman: Podman) -> None:
    """So may the `podman container cleanup` of a monitor, after all has been removed."""
    command = shlex.join(podman.command("container", "cleanup", "no-such-container"))
    with subprocess.Popen(
        ["sh", "-c", f"sleep 1; {command}"],
        env={**os.environ, **podman.environment},
        stderr=subprocess.DEVNULL,
    ) as late:
        podman.clear()
    assert late.returncode == 125
    assert str(podman.place) not in Path("/proc/self/mountinfo").read_text()


def test_stats_and_copies(podman: Podman, polite: str, tmp_path: Path) -> None:
    (found,) = json.loads(podman.output("stats", "--no-stream", "--format", "json", polite))
    assert int(found["pids"]) >= 1
    (tmp_path / "file").write_text("text")
    podman("cp", tmp_path / "file", f"{polite}:/tmp/copy", check=True)
    assert podman.output("exec", polite, "cat", "/tmp/copy") == "text"


def test_hooks_of_a_directory(podman: Podman, tmp_path: Path) -> None:
    def hooks(**scripts: str) -> None:
        for stage, script in scripts.items():
            hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}
            text = {"version": "1.0.0", "hook": hook, "when": {"always": True}, "stages": [stage]}
            (tmp_path / f"{stage}.json").write_text(json.dumps(text))

    name = unique()
    command = podman.command("run", "--detach", "--name", name, IMAGE, "sleep", "1000")
    command[1:1] = ["--hooks-dir", str(tmp_path)]
    statuses = {"createRuntime": "creating", "poststart": "running", "poststop": "stopped"}
    hooks(**{stage: f"cat >{tmp_path}/{stage}" for stage in statuses})
    run(command, env=podman.environment, check=True)
    found = podman.inspect(name, "{{.Id}} {{.State.Pid}}").split()
    podman("rm", "--force", "--time", "0", name, check=True)  # podman runs poststop hooks itself
    for stage, status in statuses.items():
        state = json.loads((tmp_path / stage).read_text())
        assert (state["id"], state["status"]) == (found[0], status)
        if stage != "poststop":
            assert state["pid"] == int(found[1])
    hooks(createRuntime="echo the reason; exit 3")
    done = run(command, env=podman.environment)
    assert done.returncode == 126
    assert "the createRuntime hook /bin/sh: exit status 3: the reason [" in done.stderr


# --- namespaces ---


def namespaces(podman: Podman, *options: str) -> dict[str, str]:
    script = "for n in cgroup ipc mnt net pid uts; do echo $n $(readlink /proc/self/ns/$n); done"
    text = podman.output("run", "--rm", *options, IMAGE, "sh", "-c", script)
    return dict(line.split() for line in text.splitlines())


OWN = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("ipc", "net", "pid", "uts")}


def test_namespaces_of_the_host(podman: Podman) -> None:
    alone = namespaces(podman)
    assert not {alone[kind] for kind in OWN} & set(OWN.values())
    shared = namespaces(podman, *(f"--{kind}=host" for kind in OWN))
    assert {kind: shared[kind] for kind in OWN} == OWN


def test_namespaces_of_another_container(podman: Podman) -> None:
    other = unique()
    podman("run", "--detach", "--name", other, IMAGE, "sleep", "1000", check=True)
    pid = podman.inspect(other, "{{.State.Pid}}")
    options = [f"--{kind}=container:{other}" for kind in OWN]
    found = namespaces(podman, *options)
    theirs = {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in OWN}
    assert {kind: found[kind] for kind in OWN} == theirs
    args = ["cat", "/proc/1/cmdline"]
    assert podman.output("run", "--rm", *options, IMAGE, *args) == "sleep\x001000\x00"


def test_a_pod(podman: Podman) -> None:
    """Two containers that see each other's processes, hostname and network."""
    pod, one = unique("pod"), unique()
    infra = ["--infra-image", IMAGE, "--infra-command", "sleep 1000"]
    options = ["--share", "ipc,net,pid,uts", "--hostname", "podbox", "--name", pod]
    podman("pod", "create", *infra, *options, check=True)
    podman("run", "-d", "--pod", pod, "--name", one, IMAGE, "sleep", "2000", check=True)
    script = "hostname; for n in ipc net pid uts; do readlink /proc/self/ns/$n; done; ps -o args"
    done = podman.output("run", "--rm", "--pod", pod, IMAGE, "sh", "-c", script)
    hostname, *links = done.splitlines()[:5]
    assert hostname == "podbox"
    pid = podman.inspect(one, "{{.State.Pid}}")
    assert links == [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in OWN]
    assert "sleep 1000\n" in done
    assert "sleep 2000\n" in done
    podman("pod", "pause", pod, check=True)
    podman("pod", "unpause", pod, check=True)
    podman("pod", "stop", "--time", "0", pod, check=True)
    assert podman.inspect(one, "{{.State.Status}}") == "exited"


def test_a_user_namespace(podman: Podman) -> None:
    options = ["--uidmap", "0:100000:5000", "--gidmap", "0:200000:5000"]
    files = ["/proc/self/uid_map", "/proc/self/gid_map"]
    done = podman.output("run", "--rm", *options, IMAGE, "cat", *files)
    assert done.split() == ["0", "100000", "5000", "0", "200000", "5000"]


# --- cgroup v2 ---


@requires("cgroup2")
def test_on_cgroup_v2_alone() -> None:
    """In a mount namespace where /sys/fs/cgroup is the v2 tree, which here limits nothing."""
    podman = Podman(configuration="pids_limit = 0")
    name = unique()
    see = "grep ^0: /proc/self/cgroup; grep ' /sys/fs/cgroup ' /proc/mounts; touch /sys/fs/cgroup/a"
    commands = [
        podman.command("run", "--rm", IMAGE, "sh", "-c", f"{see} 2>/dev/null; true"),
        podman.command("run", "--detach", "--name", name, IMAGE, "sleep", "1000"),
        podman.command("pause", name),
        podman.command("inspect", "--format", "{{.State.Status}}", name),
        podman.command("unpause", name),
        podman.command("exec", name, "grep", "^0:", "/proc/self/cgroup"),
        podman.command("stop", "--time", "0", name),
        podman.command("rm", name),
    ]
    mounting = "" if detect().mode == "v2" else "mount -t cgroup2 cgroup2 /sys/fs/cgroup\n"
    script = mounting + "\n".join(map(shlex.join, commands))
    try:
        done = run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script],
            env=podman.environment,
            check=True,
        )
    finally:
        podman.close()
    lines = done.stdout.splitlines()
    assert lines[0] == "0::/"
    assert lines[1].startswith("cgroup2 /sys/fs/cgroup cgroup2 ro,")
    assert lines[3:] == [name, "paused", name, "0::/", name, name]

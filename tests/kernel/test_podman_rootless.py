"""Podman's containers of an ordinary user, with libct as the runtime."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from libct.config.mount_flags import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REMOUNT,
)
from tests.podman import IMAGE, Podman, called_under_profiles
from tests.support import (
    CLONE_NEWNS,
    give_to_user,
    in_namespaces,
    mount,
    requires,
    unique,
    user_account,
    wait_until,
)
from tests.terminals import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    requires("user", "uidmap", "busybox", "overlay", "podman"),
    pytest.mark.usefixtures("nothing_left"),
]


@pytest.fixture(scope="module")
def storage() -> Iterator[Podman]:
    podman = Podman(user=True)
    try:
        podman("run", "--rm", IMAGE, "true", check=True)
        yield podman
    finally:
        podman.close()


@pytest.fixture
def podman(storage: Podman) -> Iterator[Podman]:
    yield storage
    storage.clear()


@pytest.fixture
def polite(podman: Podman) -> str:
    return podman.run_polite()


def test_ids_and_exit_status(podman: Podman) -> None:
    script = "cat; id -u; id -u user; cat /proc/self/uid_map; touch /etc/file; exit 7"
    done = podman("run", "--rm", "--interactive", IMAGE, "sh", "-c", script, input="typed\n")
    assert done.returncode == 7, done.stderr
    words = done.stdout.split()
    assert words[:3] == ["typed", "0", "1000"]
    assert words[3:6] == ["0", str(user_account().pw_uid), "1"]
    assert words[6] == "1"  # and the subordinate ids
    # The state of a container is where an ordinary user's belongs, and gone with it.
    assert list((podman.place / "xdg/libct").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--no-such-option", IMAGE, "true"], 125),
        ([IMAGE, "/etc/passwd"], 126),
        ([IMAGE, "no-such-command"], 127),
    ],
)
def test_exit_statuses(podman: Podman, words: list[str], status: int) -> None:
    done = podman("run", "--rm", *words)
    assert done.returncode == status, done.stderr


@requires("compiler")
def test_the_default_profile_of_seccomp(podman: Podman) -> None:
    assert called_under_profiles(podman) == [
        ["vmsplice: Operation not permitted", "Seccomp:\t2"],
        ["vmsplice: Bad file descriptor", "Seccomp:\t0"],
    ]


def test_a_terminal(podman: Podman) -> None:
    command = podman.command("run", "--rm", "-it", "--env", "PS1=prompt> ", IMAGE, "sh")
    with Session(command, podman.environment, user=True) as session:
        session.read_until("prompt> ")
        session.type("tty; stty size; exit 5\n")
        session.read_until("/dev/pts/0\r\n30 100\r\n")
        assert session.end() == 5


def test_the_life_of_a_container(podman: Podman, polite: str) -> None:
    done = podman("exec", "-i", "--user", "user", polite, "sh", "-c", "cat; id -G; exit 4")
    assert (done.returncode, done.stdout) == (4, "1000 29 2000\n"), done.stderr
    assert podman("exec", polite, "no-such-command").returncode == 127
    command = podman.command("exec", "-it", "--env", "PS1=prompt> ", polite, "sh")
    with Session(command, podman.environment, user=True) as session:
        session.read_until("prompt> ")
        session.type("tty; exit 6\n")
        session.read_until("/dev/pts/0\r\n")
        assert session.end() == 6
    assert "1 root sh -c" in " ".join(podman.output("top", polite, "pid", "user", "args").split())
    podman("stop", polite, check=True)
    assert podman.inspect(polite, "{{.State.Status}} {{.State.ExitCode}}") == "exited 3"
    podman("start", polite, check=True)
    podman("kill", "--signal", "KILL", polite, check=True)
    assert podman.output("wait", polite) == "137\n"


def test_user_capabilities_and_root(podman: Podman) -> None:
    options = ["--user", "user", "--cap-add", "net_admin", "--read-only", "--hostname", "box"]
    script = "id -G; hostname; grep CapEff /proc/self/status; touch /etc/file"
    done = podman("run", "--rm", *options, IMAGE, "sh", "-c", script)
    assert re.fullmatch(r"1000 29 2000\nbox\nCapEff:\t0+1000\n", done.stdout), done.stderr
    assert done.stderr == "touch: /etc/file: Read-only file system\n"


def test_volumes_and_tmpfs(podman: Podman, user_path: Path) -> None:
    (user_path / "file").write_text("text\n")
    give_to_user(user_path)
    volume = ["--volume", f"{user_path}:/mnt:ro,rslave", "--tmpfs", "/home:size=64k"]
    script = "cat /mnt/file; grep -o '/home tmpfs.*size=64k' /proc/mounts; touch /mnt/file"
    done = podman("run", "--rm", *volume, IMAGE, "sh", "-c", script)
    assert done.stdout.startswith("text\n/home tmpfs rw"), done.stderr
    assert done.stderr == "touch: /mnt/file: Read-only file system\n"


def test_keep_id(podman: Podman) -> None:
    account = user_account()
    found = podman.output("run", "--rm", "--userns", "keep-id", IMAGE, "id", "-u")
    assert found == f"{account.pw_uid}\n"


def test_an_init_and_the_pid_namespace_of_another(podman: Podman) -> None:
    other = unique()
    podman("run", "-d", "--init", "--name", other, IMAGE, "sleep", "1000", check=True)
    script = ["--pid", f"container:{other}", IMAGE, "ps", "-o", "args"]
    found = podman.output("run", "--rm", *script).splitlines()
    assert "sleep 1000" in found
    assert any("podman-init" in line for line in found)


def test_privileged(podman: Podman) -> None:
    script = "mount -t tmpfs tmpfs /mnt && test -c /dev/null"
    podman("run", "--rm", "--privileged", IMAGE, "sh", "-c", script, check=True)


def test_a_pod(podman: Podman) -> None:
    pod = unique("pod")
    infra = ["--infra-image", IMAGE, "--infra-command", "sleep 1000"]
    podman("pod", "create", *infra, "--share", "ipc,net,pid,uts", "--name", pod, check=True)
    podman("run", "-d", "--pod", pod, IMAGE, "sleep", "2000", check=True)
    found = podman.output("run", "--rm", "--pod", pod, IMAGE, "ps", "-o", "args")
    assert {"sleep 1000", "sleep 2000"} <= set(found.splitlines())
    # Neither container has control groups, and one is in the pid namespace of the other.
    podman("pod", "rm", "--force", "--time", "0", pod, check=True)


@pytest.mark.parametrize("options", ["", ":exec,dev,suid", ":ro", ":nosuid"])
def test_a_volume_that_is_read_only_on_the_host(user_path: Path, options: str) -> None:
    """Podman asks for rw, always; its user namespace has locked what the host says."""
    (user_path / "file").write_text("text\n")
    give_to_user(user_path)
    strict = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    script = "cat /mnt/file; grep ' /mnt ' /proc/self/mountinfo; touch /mnt/file"

    def body() -> tuple[int, str, str]:
        mount(str(user_path), str(user_path), "", MS_BIND)
        mount("", str(user_path), "", MS_BIND | MS_REMOUNT | strict)
        podman = Podman(user=True)  # its namespaces are made now
        try:
            volume = ["--volume", f"{user_path}:/mnt{options}"]
            done = podman("run", "--rm", *volume, IMAGE, "sh", "-c", script)
            return done.returncode, done.stdout, done.stderr
        finally:
            podman.close()

    status, output, errors = in_namespaces(CLONE_NEWNS, body, timeout=120)
    assert (status, output[:5]) == (1, "text\n"), errors
    assert " /mnt ro,nosuid,nodev,noexec," in output
    assert "touch: /mnt/file: Read-only file system\n" in errors


def test_a_volume_in_two_containers_of_a_pod(podman: Podman, user_path: Path) -> None:
    (user_path / "file").write_text("text\n")
    give_to_user(user_path)
    pod, volume = unique("pod"), ["--volume", f"{user_path}:/mnt"]
    infra = ["--infra-image", IMAGE, "--infra-command", "sleep 1000"]
    podman("pod", "create", *infra, "--share", "ipc,net,pid,uts", "--name", pod, check=True)
    write = ["sh", "-c", "echo one >> /mnt/file; exec sleep 2000"]
    podman("run", "-d", "--pod", pod, *volume, IMAGE, *write, check=True)
    see = ["--pod", pod, "--volume", f"{user_path}:/mnt:ro", IMAGE]
    assert wait_until(lambda: (user_path / "file").read_text() == "text\none\n")
    done = podman("run", "--rm", *see, "sh", "-c", "cat /mnt/file; ps -o args; touch /mnt/file")
    assert done.stdout.startswith("text\none\n"), done.stderr
    assert {"sleep 1000", "sleep 2000"} <= set(done.stdout.splitlines())
    assert done.stderr == "touch: /mnt/file: Read-only file system\n"
    podman("pod", "rm", "--force", "--time", "0", pod, check=True)

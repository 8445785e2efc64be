"""A pod of two containers that Podman makes, of root's and of an ordinary user's, to its end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.podman import IMAGE, Podman
from tests.support import give_to_user, requires, unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    requires("busybox", "overlay", "podman"),
    pytest.mark.usefixtures("nothing_left"),
]

SHARED = ("ipc", "net", "pid", "uts")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(False, id="root", marks=requires("root")),
        pytest.param(True, id="user", marks=requires("user", "uidmap")),
    ],
)
def storage(request: pytest.FixtureRequest) -> Iterator[Podman]:
    podman = Podman(user=request.param)
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
def pod(podman: Podman) -> str:
    """An empty one, with the container that holds its namespaces."""
    name = unique("pod")
    infra = ["--infra-image", IMAGE, "--infra-command", "sleep 1000"]
    options = ["--share", ",".join(SHARED), "--hostname", "podbox", "--name", name]
    podman("pod", "create", *infra, *options, check=True)
    return name


def namespaces(podman: Podman, name: str) -> dict[str, str]:
    pid = podman.inspect(name, "{{.State.Pid}}")
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in (*SHARED, "mnt")}


def test_two_containers_talk(podman: Podman, pod: str, tmp_path: Path) -> None:
    """By signals, and by a volume that one of them may only read."""
    volume = tmp_path / "volume"
    volume.mkdir()
    if podman.user:
        give_to_user(volume)
        for path in (tmp_path, *list(tmp_path.parents)[:3]):
            if path.stat().st_uid == os.getuid():
                path.chmod(path.stat().st_mode | 0o711)
    server, client = unique("server"), unique("client")
    script = """
        trap 'echo asked >/mnt/log; exit 3' USR1
        echo $$ >/mnt/pid; hostname >/mnt/host
        while :; do sleep 0.05; done
    """
    options = ["--pod", pod, "--detach"]
    mount = f"{volume}:/mnt"
    podman(
        *("run", *options, "--name", server, "--volume", mount),
        *(IMAGE, "sh", "-c", script),
        check=True,
    )
    assert wait_until((volume / "host").exists)
    options = [*options, "--name", client, "--volume", f"{mount}:ro"]
    podman("run", *options, IMAGE, "sleep", "2000", check=True)
    ours, theirs = namespaces(podman, client), namespaces(podman, server)
    assert {kind: ours[kind] for kind in SHARED} == {kind: theirs[kind] for kind in SHARED}
    assert ours["mnt"] != theirs["mnt"]
    # Each sees what the others run, and the host's name is the pod's.
    listed = podman.output("exec", client, "ps", "-o", "args").splitlines()
    assert {"sleep 1000", "sleep 2000"} <= set(listed)
    assert podman.output("exec", client, "hostname") == "podbox\n" == (volume / "host").read_text()
    assert podman("exec", client, "touch", "/mnt/new").returncode != 0
    podman("exec", client, "sh", "-c", "kill -USR1 $(cat /mnt/pid)", check=True)
    assert podman.output("wait", server) == "3\n"
    assert podman.output("exec", client, "cat", "/mnt/log") == "asked\n"
    # The other ones go on.
    assert podman.inspect(client, "{{.State.Status}}") == "running"


def test_the_pod_is_stopped_started_and_removed(podman: Podman, pod: str) -> None:
    names = [unique("one"), unique("two")]
    for name in names:
        podman("run", "--detach", "--pod", pod, "--name", name, IMAGE, "sleep", "2000", check=True)
    pids = [podman.inspect(name, "{{.State.Pid}}") for name in names]
    podman("pod", "stop", "--time", "0", pod, check=True)
    for name, pid in zip(names, pids):
        assert podman.inspect(name, "{{.State.Status}}") == "exited"
        assert not os.path.exists(f"/proc/{pid}")
    podman("pod", "start", pod, check=True)
    for name in names:
        assert podman.inspect(name, "{{.State.Status}}") == "running"
        assert podman.output("exec", name, "hostname") == "podbox\n"
    first, second = (namespaces(podman, name) for name in names)
    assert first["pid"] == second["pid"]
    podman("pod", "rm", "--force", "--time", "0", pod, check=True)
    assert podman.output("ps", "--all", "--quiet") == ""


def test_a_container_of_the_pod_that_fails_takes_no_other_with_it(podman: Podman, pod: str) -> None:
    name = unique("one")
    podman("run", "--detach", "--pod", pod, "--name", name, IMAGE, "sleep", "2000", check=True)
    done = podman("run", "--rm", "--pod", pod, IMAGE, "no-such-command")
    assert done.returncode == 127, done.stderr
    assert podman.inspect(name, "{{.State.Status}}") == "running"
    podman("exec", name, "true", check=True)

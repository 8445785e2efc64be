"""Podman, Docker and containerd with their default manager of control groups, systemd.

They are the machine's own: their daemons are its services, and their storage is theirs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct.cgroups.layout import detect

from ..commands import (
    CHECKOUT,
    DOCKER,
    give_to_user,
    run,
    session_directory,
    user_account,
    user_checkout,
    user_python,
)
from ..engines import IMAGE, image_archive, rootfs_archive, runtime_program
from ..leaks import wait_until
from ..names import unique
from ..needs import requires

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = requires("vm", "root", "systemd", "busybox")

V2 = detect().mode == "v2"
ROOT = Path("/sys/fs/cgroup")
MiB = 1 << 20

_PODMAN = """
[containers]
netns = "none"
log_driver = "k8s-file"
[engine]
runtime = "libct"
events_logger = "file"
runtime_supports_json = ["libct"]
[engine.runtimes]
libct = ["{runtime}"]
"""


def call(
    *words: str, env: Mapping[str, str] | None = None, user: bool = False, status: int = 0
) -> str:
    """What a command prints that exits with this status."""
    done = run(words, env=env, user=user, timeout=600)
    assert done.returncode == status, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


def systemctl(*words: str) -> str:
    return call("systemctl", *words)


def scopes(word: str) -> set[str]:
    """The scopes and slices that have the word in their name."""
    listed = systemctl("list-units", "--all", "--plain", "--no-legend", f"*{word}*")
    return {line.split()[0] for line in listed.splitlines()}


def shown(unit: str, *, user: bool = False) -> dict[str, str]:
    options = [f"--machine={user_account().pw_name}@", "--user"] if user else []
    lines = systemctl(*options, "show", unit).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def unit_of(pid: str | int) -> str:
    """The unit that a process is in, as its control groups say."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    tracked = next(line for line in lines if ":name=systemd:" in line or line.startswith("0::"))
    return os.path.basename(tracked.rpartition(":")[2])


class Podman:
    """Podman as it comes, but for its runtime."""

    def __init__(self, *, user: bool = False) -> None:
        self.user = user
        place = session_directory() / ("podman-user" if user else "podman")
        place.mkdir()
        python, checkout = (user_python(), user_checkout()) if user else (sys.executable, CHECKOUT)
        runtime_program(place / "libct", python, checkout)
        (place / "containers.conf").write_text(_PODMAN.format(runtime=place / "libct"))
        archive = rootfs_archive(place)
        if user:
            give_to_user(place)
        self.environment = {"CONTAINERS_CONF": str(place / "containers.conf")}
        if user:
            account = user_account()
            self.environment["XDG_RUNTIME_DIR"] = f"/run/user/{account.pw_uid}"
            call("loginctl", "enable-linger", account.pw_name)
            there = f"/run/user/{account.pw_uid}/bus"
            assert wait_until(lambda: os.path.exists(there), patience=60)
        self("import", "--quiet", str(archive), "box")

    def __call__(self, *words: str, status: int = 0) -> str:
        return call("podman", *words, env=self.environment, user=self.user, status=status)

    def inspect(self, name: str, template: str) -> str:
        return self("inspect", "--format", template, name).strip()


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    made = Podman()
    yield made
    made("rm", "--all", "--force", "--time", "0")


@requires("podman")
def test_podman_makes_scopes(podman: Podman) -> None:
    assert podman("info", "--format", "{{.Host.CgroupManager}}").strip() == "systemd"
    name = unique()
    limits = ["--memory", "64m", "--pids-limit", "50", "--cpus", "0.5", "--cpu-shares", "512"]
    podman("run", "-d", "--name", name, *limits, "box", "sleep", "600")
    pid, number = podman.inspect(name, "{{.State.Pid}} {{.Id}}").split()
    unit = unit_of(pid)
    assert unit == f"libpod-{number}.scope"
    told = shown(unit)
    assert told["Slice"] == "machine.slice"
    assert told["TasksMax"] == "50"
    assert told["MemoryMax" if V2 else "MemoryLimit"] == str(64 * MiB)
    assert told["CPUQuotaPerSecUSec"] == "500ms"
    assert told["DevicePolicy"] == "strict"
    assert podman("exec", name, "echo", "here") == "here\n"
    listed = podman("stats", "--no-stream", "--format", "{{.PIDs}}", name)
    assert int(listed) >= 1
    podman("pause", name)
    assert podman.inspect(name, "{{.State.Status}}") == "paused"
    podman("unpause", name)
    podman("update", "--memory", "96m", name)
    told = shown(unit)
    assert told["MemoryMax" if V2 else "MemoryLimit"] == str(96 * MiB)
    podman("stop", "--time", "1", name)
    podman("start", name)
    assert podman("exec", name, "echo", "again") == "again\n"
    podman("rm", "--force", "--time", "0", name)
    assert wait_until(lambda: unit not in scopes("libpod"), patience=30)


@requires("podman")
@pytest.mark.skipif(
    os.environ.get("LIBCT_VM") != "debian12", reason="CRIU is tried in the lane debian12 alone"
)
def test_podman_checkpoints_and_restores(podman: Podman) -> None:
    name = unique()
    count = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done"
    podman("run", "-d", "--name", name, "box", "sh", "-c", count)

    def counted() -> int:
        return int((podman("logs", name).split() or ["0"])[-1])

    assert wait_until(lambda: counted() > 5, patience=30)
    podman("container", "checkpoint", name)
    before = counted()
    assert podman.inspect(name, "{{.State.Running}}") == "false"
    podman("container", "restore", name)
    assert wait_until(lambda: counted() > before + 5, patience=60)
    lines = podman("logs", name).split()
    assert lines == [str(number) for number in range(1, len(lines) + 1)]
    pid, number = podman.inspect(name, "{{.State.Pid}} {{.Id}}").split()
    assert unit_of(pid) == f"libpod-{number}.scope"
    assert podman("exec", name, "echo", "here") == "here\n"
    podman("rm", "--force", "--time", "0", name)


@requires("podman")
def test_podman_s_pod_is_a_slice(podman: Podman) -> None:
    pod, name = unique(), unique()
    podman("pod", "create", "--network", "none", "--name", pod)
    podman("run", "-d", "--pod", pod, "--name", name, "box", "sleep", "600")
    pid = podman.inspect(name, "{{.State.Pid}}")
    told = shown(unit_of(pid))
    assert told["Slice"].startswith("machine-libpod_pod_")
    podman("pod", "rm", "--force", "--time", "0", pod)


@requires("podman", "user", "uidmap")
@pytest.mark.skipif(not V2, reason="an ordinary user has no groups with v1")
def test_podman_of_an_ordinary_user_makes_scopes_of_his() -> None:
    podman = Podman(user=True)
    name = unique()
    podman(
        "run", "-d", "--name", name, "--pids-limit", "50", "--memory", "64m", "box", "sleep", "600"
    )
    pid, number = podman.inspect(name, "{{.State.Pid}} {{.Id}}").split()
    assert unit_of(pid) == f"libpod-{number}.scope"
    told = shown(unit_of(pid), user=True)
    assert told["Slice"] == "user.slice"
    assert (told["TasksMax"], told["MemoryMax"]) == ("50", str(64 * MiB))
    assert podman("exec", name, "echo", "here") == "here\n"
    podman("rm", "--force", "--time", "0", name)


_POD = """
apiVersion: v1
kind: Pod
metadata:
  name: {name}
spec:
  restartPolicy: Never
  containers:
  - name: box
    image: localhost/box:latest
    imagePullPolicy: Never
    command: ["sleep", "600"]
    resources:
      limits:
        memory: 64Mi
        cpu: 500m
"""


@requires("podman")
@pytest.mark.skipif(os.environ.get("LIBCT_VM") != "debian13", reason="Podman 4.3 lacks parts")
def test_a_pod_from_a_kubernetes_file(podman: Podman, tmp_path: Path) -> None:
    name = unique()
    (tmp_path / "pod.yaml").write_text(_POD.format(name=name))
    podman("kube", "play", "--network", "none", str(tmp_path / "pod.yaml"))
    pid = podman.inspect(f"{name}-box", "{{.State.Pid}}")
    told = shown(unit_of(pid))
    assert told["Slice"].startswith("machine-libpod_pod_")
    assert told["MemoryMax"] == str(64 * MiB)
    assert told["CPUQuotaPerSecUSec"] == "500ms"
    podman("kube", "down", "--force", str(tmp_path / "pod.yaml"))


_QUADLET = """
[Container]
Image=localhost/box:latest
Exec=sleep 600
Network=none
PodmanArgs=--memory 64m
[Service]
Environment=CONTAINERS_CONF={configuration}
"""


@requires("podman")
@pytest.mark.skipif(os.environ.get("LIBCT_VM") != "debian13", reason="Podman 4.3 has none")
def test_a_service_by_a_quadlet(podman: Podman) -> None:
    name = unique()
    file = Path(f"/etc/containers/systemd/{name}.container")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_QUADLET.format(configuration=podman.environment["CONTAINERS_CONF"]))
    try:
        systemctl("daemon-reload")
        systemctl("start", f"{name}.service")
        told = shown(f"{name}.service")
        assert (told["ActiveState"], told["Delegate"]) == ("active", "yes")
        pid = podman.inspect(f"systemd-{name}", "{{.State.Pid}}")
        # Podman puts it below the service, which is delegated: by files.
        group = Path(f"/proc/{pid}/cgroup").read_text().strip().partition("::")[2]
        assert f"/system.slice/{name}.service/" in group
        assert (ROOT / group[1:] / "memory.max").read_text() == f"{64 * MiB}\n"
        systemctl("daemon-reload")
        assert (ROOT / group[1:] / "memory.max").read_text() == f"{64 * MiB}\n"
        systemctl("stop", f"{name}.service")
        assert podman("ps", "--all", "--quiet") == ""
    finally:
        file.unlink()
        systemctl("daemon-reload")


# --- Docker ---


@pytest.fixture(scope="module")
def archive() -> Path:
    place = session_directory() / "image"
    place.mkdir()
    return image_archive(place)


@pytest.fixture
def docker(archive: Path) -> Iterator[Any]:
    runtime = session_directory() / "docker-libct"
    runtime_program(runtime, sys.executable, CHECKOUT)
    settings = {
        "runtimes": {"libct": {"path": str(runtime)}},
        "default-runtime": "libct",
        "bridge": "none",
        "iptables": False,
        "ip6tables": False,
    }
    Path("/etc/docker").mkdir(exist_ok=True)
    Path("/etc/docker/daemon.json").write_text(json.dumps(settings))
    systemctl("unmask", "docker.service", "docker.socket", "containerd.service")
    systemctl("start", "docker.service")
    call(DOCKER, "load", "--input", str(archive))
    yield lambda *words: call(DOCKER, *words)
    systemctl("stop", "docker.service", "docker.socket")


@requires("docker")
def test_docker_makes_scopes(docker: Any) -> None:
    default = docker("info", "--format", "{{.CgroupDriver}} {{.DefaultRuntime}}").split()
    assert default == ["systemd" if V2 else "cgroupfs", "libct"]
    if not V2:
        pytest.skip("Docker's default is systemd with cgroup v2 alone")
    name = unique()
    limits = ["--memory", "64m", "--pids-limit", "50", "--cpus", "0.5"]
    network = ["--network", "none"]
    docker("run", "-d", "--name", name, *network, *limits, IMAGE, "sleep", "600")
    pid, number = docker("inspect", "--format", "{{.State.Pid}} {{.Id}}", name).split()
    unit = unit_of(pid)
    assert unit == f"docker-{number}.scope"
    told = shown(unit)
    assert told["Slice"] == "system.slice"
    assert (told["TasksMax"], told["MemoryMax"]) == ("50", str(64 * MiB))
    assert told["CPUQuotaPerSecUSec"] == "500ms"
    assert docker("exec", name, "echo", "here") == "here\n"
    docker("update", "--memory", "96m", "--memory-swap", "96m", name)
    assert shown(unit)["MemoryMax"] == str(96 * MiB)
    docker("pause", name)
    docker("unpause", name)
    docker("restart", "--time", "0", name)
    assert docker("exec", name, "echo", "again") == "again\n"
    docker("rm", "--force", name)
    assert wait_until(lambda: unit not in scopes("docker-"), patience=30)


# --- containerd ---


@requires("containerd")
def test_containerd_makes_scopes(archive: Path) -> None:
    runtime = session_directory() / "ctr-libct"
    runtime_program(runtime, sys.executable, CHECKOUT)
    systemctl("unmask", "containerd.service")
    systemctl("start", "containerd.service")
    name = unique()
    group = f"libct.slice:ctr:{name}"
    ctr = ["ctr", "--namespace", "libct"]
    call(*ctr, "images", "import", str(archive))
    options = ["--runc-binary", str(runtime), "--runc-systemd-cgroup", "--cgroup", group]
    call(
        *ctr,
        "run",
        "--detach",
        *options,
        "--memory-limit",
        str(64 * MiB),
        IMAGE,
        name,
        "sleep",
        "600",
    )
    try:
        rows = [line.split() for line in call(*ctr, "tasks", "ls").splitlines()]
        pid = next(row[1] for row in rows if row[0] == name)
        assert unit_of(pid) == f"ctr-{name}.scope"
        told = shown(unit_of(pid))
        assert told["Slice"] == "libct.slice"
        assert told["MemoryMax" if V2 else "MemoryLimit"] == str(64 * MiB)
        done = call(*ctr, "tasks", "exec", "--exec-id", "one", name, "echo", "here")
        assert done == "here\n"
        call(*ctr, "tasks", "pause", name)
        call(*ctr, "tasks", "resume", name)
    finally:
        subprocess.run([*ctr, "tasks", "delete", "--force", name], check=False)
        subprocess.run([*ctr, "containers", "rm", name], check=False)
    assert wait_until(lambda: f"ctr-{name}.scope" not in scopes("ctr-"), patience=30)

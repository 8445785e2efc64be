"""What the README of libcontainer promises, item by item, on libct.

Its example is docs/library.md's (test_docs_example.py).  Here each thing that the page names is
asked for by itself, and looked at from inside or from outside.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.config.mount_flags import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY
from libct.syscalls.constants import CAPABILITIES

from ..commands import CHECKOUT, copy_of_libct, run as run_program
from ..containers import PATH, make_config, run, running, shell, state_directory
from ..names import unique
from ..needs import requires
from ..support import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [requires("root"), pytest.mark.usefixtures("nothing_left")]
SAFE = MS_NOEXEC | MS_NOSUID | MS_NODEV
ALL = ("NEWNS", "NEWUTS", "NEWIPC", "NEWPID", "NEWUSER", "NEWNET", "NEWCGROUP")


def lines(script: str, **changes: Any) -> list[str]:
    return shell(make_config(**changes), script).lines


# --- container init ---


def test_no_binary_of_the_caller_is_executed_as_init() -> None:
    """There is a process that waits between the two steps, and it is not the caller's program."""
    with libct.create(state_directory(), unique(), make_config()) as container:
        process = libct.Process(["/bin/sh", "-c", "exit 3"], env=[PATH])
        container.start(process)
        assert container.status() == "created"
        # Its root is the container's already, and its program nothing of the host's to write to.
        with open(f"/proc/{process.pid}/comm") as file:
            assert file.read() != "sh\n"
        assert not os.path.exists(f"/proc/{process.pid}/root/usr/bin/python3")
        container.exec()
        assert process.wait(60).exit_code == 3


# --- device management ---


def test_the_device_package_can_be_left_out(tmp_path: Path) -> None:
    """Without it a configuration with rules for devices is refused, and others work."""
    package = copy_of_libct(tmp_path / "vendored")
    for file in (package / "cgroups/devices").iterdir():
        file.unlink() if file.is_file() else None
    (package / "cgroups/devices").rmdir()
    program = (
        "import vendored as libct\n"
        "rules = [libct.DeviceRule('c', 1, 3, 'rwm', True)]\n"
        "groups = libct.Cgroup(resources=libct.Resources(devices=rules))\n"
        "try:\n"
        "    libct.plan(libct.Config('/', namespaces=[libct.Namespace('NEWNS')], cgroups=groups))\n"
        "except libct.ConfigError as error:\n"
        "    print(error)\n"
    )
    done = run_program([sys.executable, "-c", program], env={"PYTHONPATH": str(tmp_path)})
    assert "this copy of libct cannot apply device rules" in done.stdout, done.stderr


def test_the_allowed_devices_are_there_and_no_others() -> None:
    config = make_config(
        devices=list(libct.ALLOWED_DEVICES),
        mounts=[
            libct.Mount("/proc", "proc", "proc"),
            libct.Mount("/dev", "tmpfs", "tmpfs", data="mode=755"),
        ],
        cgroups=libct.Cgroup(
            resources=libct.Resources(devices=[one.rule for one in libct.ALLOWED_DEVICES])
        ),
        capabilities=libct.Capabilities(*[list(CAPABILITIES)] * 4),
    )
    script = "echo x > /dev/null && head -c1 /dev/zero | wc -c; mknod /dev/x c 1 1; cat /dev/x"
    done = run(config, "sh", "-c", script)
    assert done.lines[0] == "1"
    assert "Operation not permitted" in done.output


# --- the fields of the configuration ---


def test_rootfs_and_hostname() -> None:
    assert lines("hostname; ls -d /bin", hostname="testing") == ["testing", "/bin"]


def test_capabilities() -> None:
    names = ["CAP_CHOWN", "CAP_KILL"]
    sets = libct.Capabilities(*[names] * 5)
    found = lines("grep Cap /proc/self/status", capabilities=sets)
    assert {line.split()[1] for line in found} == {f"{1 << 0 | 1 << 5:016x}"}


def test_namespaces() -> None:
    maps = [libct.IDMap(0, 1000, 65536)]
    config = make_config(namespaces=ALL, uid_mappings=maps, gid_mappings=maps)
    for kind in ("mnt", "uts", "ipc", "pid", "user", "net", "cgroup"):
        inside = shell(config, f"readlink /proc/self/ns/{kind}").lines
        assert inside != [os.readlink(f"/proc/self/ns/{kind}")]
    assert shell(config, "cat /proc/self/uid_map").lines[0].split() == ["0", "1000", "65536"]


def test_control_groups() -> None:
    groups = libct.Cgroup(
        name=unique(), parent=unique("system"), resources=libct.Resources(memory_swappiness=None)
    )
    with running(make_config(cgroups=groups)) as container:
        assert groups.parent in next(iter(container.current_state().cgroup_paths.values()))


def test_masked_and_read_only_paths() -> None:
    found = lines(
        "wc -c < /proc/interrupts; echo x 2>&1 > /proc/sys/kernel/domainname || echo no",
        mounts=[
            libct.Mount("/proc", "proc", "proc"),
            libct.Mount("/dev", "tmpfs", "tmpfs", data="mode=755"),
        ],
        devices=list(libct.ALLOWED_DEVICES),
        mask_paths=["/proc/kcore", "/proc/interrupts", "/sys/firmware"],
        readonly_paths=["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"],
    )
    assert (found[0], found[-1]) == ("0", "no")


def test_mounts() -> None:
    mounts = [
        libct.Mount("/proc", "proc", "proc", SAFE),
        libct.Mount("/dev", "tmpfs", "tmpfs", MS_NOSUID, data="mode=755"),
        libct.Mount("/dev/pts", "devpts", "devpts", MS_NOSUID | MS_NOEXEC, data="newinstance"),
        libct.Mount("/dev/shm", "shm", "tmpfs", SAFE, data="mode=1777,size=65536k"),
        libct.Mount("/dev/mqueue", "mqueue", "mqueue", SAFE),
        libct.Mount("/sys", "sysfs", "sysfs", SAFE | MS_RDONLY),
    ]
    found = lines("cut -d' ' -f2,4 /proc/mounts", namespaces=(*ALL[:4], "NEWNET"), mounts=mounts)
    points = {line.split()[0]: line.split()[1].split(",") for line in found}
    assert points.keys() >= {mount.destination for mount in mounts}
    assert "ro" in points["/sys"]
    assert {"nosuid", "nodev", "noexec"} <= set(points["/proc"])


def test_networks() -> None:
    spaces = (*ALL[:4], "NEWNET")
    found = lines(
        "cat /sys/class/net/lo/operstate; ls /sys/class/net",
        namespaces=spaces,
        networks=[libct.Network()],
        mounts=[libct.Mount("/sys", "sysfs", "sysfs")],
    )
    assert found == ["unknown", "lo"]  # loopback has no carrier to tell of


def test_rlimits() -> None:
    limit = libct.Rlimit(resource.RLIMIT_NOFILE, hard=1025, soft=1025)
    assert lines("ulimit -n; ulimit -Hn", rlimits=[limit]) == ["1025", "1025"]


# --- the methods ---


def test_the_ways_to_interact_with_a_container() -> None:
    config = make_config(cgroups=libct.Cgroup())
    container = libct.create(state_directory(), unique(), config)
    try:
        process = libct.Process(["sleep", "60"], env=["PATH=/bin"], user="daemon", init=True)
        container.run(process)
        assert container.processes() == [process.pid]
        stats = container.stats()
        assert stats.cgroup_stats.cpu_stats is not None
        container.pause()
        assert container.status() == "paused"
        container.resume()
        assert container.status() == "running"
        changed = container.config.copy()
        assert changed.cgroups is not None
        changed.cgroups.resources.pids_limit = 20
        container.set(changed)
        assert container.config.cgroups == changed.cgroups
        state = container.current_state()
        assert (state.id, state.init_process_pid) == (container.id, process.pid)
        assert container.state()["status"] == "running"
        container.signal(signal.SIGKILL)
        assert process.wait(60).signal == signal.SIGKILL
        assert wait_until(lambda: container.status() == "stopped")
    finally:
        container.destroy(force=True)
    with pytest.raises(libct.ContainerNotFound):
        libct.load(state_directory(), container.id)


def test_a_container_that_does_not_start_is_destroyed() -> None:
    container = libct.create(state_directory(), unique(), make_config())
    with pytest.raises(libct.StepError):
        container.run(libct.Process(["/bin/no-such-shell"], init=True))
    container.destroy()


# --- checkpoint and restore: tests/vm/test_checkpoint.py, where CRIU and a kernel that it knows are


def test_checkpoint_and_restore_are_there_and_change_nothing_without_criu(tmp_path: Path) -> None:
    with running(make_config()) as container:
        before = os.environ["PATH"]
        os.environ["PATH"] = str(tmp_path)
        try:
            with pytest.raises(libct.Unsupported, match="criu"):
                container.checkpoint(str(tmp_path / "images"))
        finally:
            os.environ["PATH"] = before
        assert container.status() == "running"
    assert callable(libct.restore)
    assert (CHECKOUT / "tests/vm/test_checkpoint.py").is_file()

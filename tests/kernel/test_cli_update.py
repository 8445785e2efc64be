"""`libct update` on real containers: what the kernel's files hold afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from libct.cgroups.layout import detect
from libct.config import DeviceRule
from libct.life.container import load
from tests.support import (
    busybox_rootfs,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    requires,
    session_directory,
    state_root,
    unique,
    wait_until,
)

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


@pytest.fixture(scope="module")
def rootfs() -> Path:
    return busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))


@pytest.fixture
def limited(tmp_path: Path, rootfs: Path) -> Any:
    """The id of a running container with limits."""
    name = unique()
    resources = {
        "devices": [{"allow": False, "access": "rwm"}],
        "pids": {"limit": 50},
        "memory": {"limit": 64 << 20},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000},
    }
    bundle = make_bundle(
        tmp_path, rootfs=rootfs, args=["sleep", "1000"], linux={"resources": resources}
    )
    libct("run", "-d", "-b", bundle, name, check=True)
    yield name
    libct("delete", "--force", name, check=True)


def read(name: str, v1: str, v2: str) -> str:
    """What the file of a limit holds, whichever version of control groups it is in."""
    manager = load(str(state_root()), name).manager
    assert manager is not None
    paths = manager.paths()
    controller = v1.partition(".")[0]
    file = f"{paths[controller]}/{v1}" if controller in paths else f"{paths['']}/{v2}"
    return Path(file).read_text().strip()


def pids_max(name: str) -> str:
    return read(name, "pids.max", "pids.max")


def memory_max(name: str) -> int:
    return int(read(name, "memory.limit_in_bytes", "memory.max"))


def test_limits_by_options(limited: str) -> None:
    done = libct(
        *("update", "--pids-limit", "20", "--memory", "32M", "--memory-reservation=16m"),
        *("--cpu-share", "1024", "--cpu-period=50000", "--cpu-quota", "20000", limited),
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert pids_max(limited) == "20"
    assert memory_max(limited) == 32 << 20
    assert int(read(limited, "memory.soft_limit_in_bytes", "memory.low")) == 16 << 20
    assert read(limited, "cpu.shares", "cpu.weight") in ("1024", "100")
    assert "20000" in read(limited, "cpu.cfs_quota_us", "cpu.max")
    # What is set stays set, also by a second update of something else.
    libct("update", "--pids-limit", "-1", limited, check=True)
    assert pids_max(limited) == "max"
    assert memory_max(limited) == 32 << 20


def test_limits_from_standard_input(limited: str) -> None:
    resources = {
        "memory": {"limit": 48 << 20},
        "pids": {"limit": 7},
        "cpu": {"cpus": "0", "mems": "0"},
    }
    libct("update", "--resources=-", limited, input=json.dumps(resources), check=True)
    assert (pids_max(limited), memory_max(limited)) == ("7", 48 << 20)
    assert read(limited, "cpuset.cpus", "cpuset.cpus") == "0"
    assert not reads(limited, "kmsg")  # devices are left as they are
    assert not rules(limited)[0].allow


def reads(name: str, device: str) -> bool:
    """Whether a process of the container may read a device."""
    number = {"kmsg": "1 11", "port": "1 4"}[device]
    command = f"mknod /tmp/{device} c {number}; (exec 3</tmp/{device}) && exit 3; exit 4"
    rights = [word for right in ("MKNOD", "SYSLOG", "SYS_RAWIO") for word in ("-c", f"CAP_{right}")]
    status = libct("exec", *rights, name, "sh", "-c", command).returncode
    assert status in (3, 4)
    return status == 3


def rules(name: str) -> list[DeviceRule]:
    """As they are recorded, where they are applied."""
    config = load(str(state_root()), name).config
    assert config.cgroups is not None
    assert not config.cgroups.resources.skip_devices
    return config.cgroups.resources.devices


def update_devices(name: str, *devices: Any, **more: Any) -> Any:
    return libct("update", "-r", "-", name, input=json.dumps({"devices": devices, **more}))


KMSG = {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"}
EVERYTHING = {"allow": True, "access": "rwm"}


def test_access_to_devices(limited: str) -> None:
    assert update_devices(limited, KMSG).returncode == 0
    assert reads(limited, "kmsg")
    assert rules(limited) == [DeviceRule("c", 1, 11, "r")]
    # With a default to allow, of which v1 does not list the exceptions.
    assert update_devices(limited, EVERYTHING, {**KMSG, "allow": False}).returncode == 0
    assert not reads(limited, "kmsg")
    for _ in range(2):
        port = {"type": "c", "major": 1, "minor": 4, "access": "r", "allow": False}
        assert update_devices(limited, EVERYTHING, port).returncode == 0
        assert (reads(limited, "kmsg"), reads(limited, "port")) == (True, False)
    libct("update", "--pids-limit", "40", limited, check=True)
    assert (reads(limited, "kmsg"), reads(limited, "port")) == (True, False)
    assert update_devices(limited, {"allow": False, "access": "rwm"}).returncode == 0
    assert not reads(limited, "kmsg")


@pytest.mark.parametrize(
    ("devices", "more", "error"),
    [
        ([KMSG], {"cpu": {"period": 1}}, "linux.resources.cpu"),
        ([{"access": "x"}], {"pids": {"limit": 5}}, "devices[0]"),
        (
            [{**KMSG, "minor": -1}, {**KMSG, "allow": False}],
            {"pids": {"limit": 5}},
            "linux.resources.devices[1]: cannot deny c 1:11 r when c 1:* r has been allowed",
        ),
    ],
)
def test_rules_of_devices_that_cannot_be_change_nothing(
    limited: str, devices: list[Any], more: Any, error: str
) -> None:
    done = update_devices(limited, *devices, **more)
    assert done.returncode == 1
    assert error in done.stderr
    assert done.stderr.count("\n") == 1
    assert not reads(limited, "kmsg")
    assert pids_max(limited) == "50"
    assert not rules(limited)[0].allow


@requires("cgroup1")
def test_access_that_the_kernel_refuses_halfway_is_as_before(tmp_path: Path, rootfs: Path) -> None:
    """The group above has access to the one device, and not to the other."""
    name, path = unique(), unique()
    above = Path(detect().controllers["devices"].mount, path)
    above.mkdir()
    (above / "devices.deny").write_text("c 1:4 r")
    linux = {"cgroupsPath": f"/{path}/a"}
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["sleep", "1000"], linux=linux)
    try:
        libct("run", "-d", "-b", bundle, name, check=True)
        listed = (above / "a/devices.list").read_text()
        done = update_devices(name, KMSG, {**KMSG, "minor": 4})
        assert done.returncode == 1
        assert "the control group above does not have that access itself" in done.stderr
        assert done.stderr.count("\n") == 1
        assert sorted((above / "a/devices.list").read_text()) == sorted(listed)
        assert update_devices(name, KMSG).returncode == 0
        assert (above / "a/devices.list").read_text().count("1:11 r") == 1
    finally:
        libct("delete", "--force", name, check=True)
        above.rmdir()


def test_limits_from_a_file(limited: str, tmp_path: Path) -> None:
    path = tmp_path / "limits.json"
    path.write_text('{"pids": {"limit": 9}}')
    libct("update", "-r", path, limited, check=True)
    assert pids_max(limited) == "9"


def test_idle_and_back(limited: str) -> None:
    libct("update", "--cpu-idle", "1", limited, check=True)
    assert read(limited, "cpu.idle", "cpu.idle") == "1"
    libct("update", "--cpu-idle", "0", "--cpu-burst", "1000", limited, check=True)
    assert read(limited, "cpu.idle", "cpu.idle") == "0"
    assert read(limited, "cpu.cfs_burst_us", "cpu.max.burst") == "1000"
    assert read(limited, "cpu.shares", "cpu.weight") in ("512", "59")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--blkio-weight", "9"], "--blkio-weight: not between 10 and 1000: 9"),
        (["--memory-swappiness", "101"], "--memory-swappiness: not between 0 and 100: 101"),
        (["--memory-oom-group", "2"], "--memory-oom-group: not 0 or 1: '2'"),
        (["--unified", "memory.high"], "--unified: not like memory.high=1000000: 'memory.high'"),
        (["--l3-cache-schema", "L3:0=f"], "linux.intelRdt: resctrl is not mounted on this host"),
        (["--memory", "lots"], "--memory: not a size like 256M: 'lots'"),
        (["--cpuset-cpus", "x"], "--cpuset-cpus: "),
        (["-r", "/no/such"], "cannot read the limits from '/no/such': no such file or directory"),
        (["-r", "-"], "standard input:1:1: "),
        (["-r", "-", "--memory", "1G"], "either --resources or single limits, not both: --memory"),
    ],
)
def test_what_cannot_be_done_changes_nothing(limited: str, words: list[str], line: str) -> None:
    # With something beside it that could be done.
    more = [] if "-r" in words else ["--pids-limit", "5"]
    done = libct("update", *words, *more, limited)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"libct: {line}")
    assert done.stderr.count("\n") == 1
    assert (pids_max(limited), memory_max(limited)) == ("50", 64 << 20)


def test_standard_input_that_is_closed_is_empty(limited: str) -> None:
    command = libct_command("update", "-r", "-", limited)
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command],
        env={**os.environ, **libct_environment()},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("libct: standard input:1:1: ")
    assert pids_max(limited) == "50"


@requires("cgroup1", "loop")  # with BFQ, which has the weights
def test_more_limits_of_v1(limited: str) -> None:
    before = read(limited, "memory.swappiness", "")
    assert before != "7"
    done = libct("update", "--memory-swappiness=7", "--cpu-period=1", limited)
    assert "(it takes from 1000 to 1000000)" in done.stderr
    assert read(limited, "memory.swappiness", "") == before
    more = ("--memory-swappiness=7", "--blkio-weight=200", "--memory-oom-group=1")
    done = libct("update", *more, limited, check=True)
    assert "--memory-oom-group: ignored: cgroup v1 has no such limit" in done.stderr
    assert read(limited, "memory.swappiness", "") == "7"
    assert read(limited, "blkio.bfq.weight", "") == "200"
    done = libct("update", "--unified=memory.high=5", "--pids-limit=5", limited)
    assert "cannot use unified on cgroup v1" in done.stderr
    assert pids_max(limited) == "50"
    resources = {"hugepageLimits": [{"pagesize": "2MB", "limit": 2 << 20}]}
    done = libct("update", "-r", "-", limited, input=json.dumps(resources))
    if "hugetlb" in detect().controllers:
        assert read(limited, "hugetlb.2MB.limit_in_bytes", "") == str(2 << 20)
    else:
        assert "the hugetlb controller of cgroup v1 is not mounted: if the kernel" in done.stderr


def test_a_limit_that_the_kernel_refuses_changes_nothing(limited: str) -> None:
    done = libct("update", "--cpu-period", "1", "--pids-limit", "5", limited)
    assert done.returncode == 1
    assert "linux.resources.cpu" in done.stderr
    assert done.stderr.count("\n") == 1
    assert pids_max(limited) == "50"


def test_kernel_memory_is_warned_about(limited: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ("update", "--kernel-memory", "50M", "--pids-limit", "6", limited)
    libct("--log", log, "--log-format", "json", *command, check=True)
    (line,) = map(json.loads, log.read_text().splitlines())
    assert line["level"] == "warning"
    assert "kernel memory" in line["msg"]
    assert pids_max(limited) == "6"


def test_containers_that_have_no_limits_to_change(limited: str) -> None:
    assert "container does not exist" in libct("update", "--memory", "1G", unique()).stderr
    libct("kill", limited, "KILL", check=True)
    stopped = '"stopped"'
    assert wait_until(lambda: stopped in libct("state", limited, check=True).stdout)
    done = libct("update", "--memory", "1G", limited)
    assert done.returncode == 1
    assert "container not running" in done.stderr

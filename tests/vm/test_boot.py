"""That the lane is what it says it is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from libct.cgroups.layout import detect

from ..needs import NEEDS, lacked_by_nature, missing, requires
from ..support import user_account
from .lanes import LANES


def printed(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


pytestmark = requires("vm", "root")


def lane() -> str:
    return os.environ["LIBCT_VM"]


@requires("systemd")
def test_systemd_has_booted_and_nothing_has_failed() -> None:
    assert printed("systemctl", "list-units", "--failed", "--plain", "--no-legend") == ""
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    assert Path("/run/systemd/private").is_socket()


def test_control_groups_are_those_of_the_lane() -> None:
    assert detect().mode == ("v1" if lane() == "debian12-v1" else "v2")
    own = Path("/proc/self/cgroup").read_text()
    assert ("/tests" if lane() == "arm64" else "/system.slice/libct-vm.service") in own


def test_the_machine_is_the_lanes() -> None:
    machines = {"amd64": "x86_64", "arm64": "aarch64"}
    assert os.uname().machine == machines[LANES[lane()].image.architecture]


@pytest.mark.parametrize("need", sorted(NEEDS))
def test_what_the_lane_lacks_by_nature_is_not_there(need: str) -> None:
    """Else its tests were skipped for no reason; and what is to be there is."""
    assert lacked_by_nature() == set(LANES[lane()].lacks)
    assert bool(missing(need)) == (need in lacked_by_nature())


def test_the_clock_keeps_pace_with_that_of_the_host() -> None:
    """The files of the share have the host's time."""

    def now() -> tuple[float, float]:
        file = Path("/run/vm/results/clock")
        file.write_text("x")
        return time.monotonic(), file.stat().st_mtime

    began = now()
    time.sleep(10)
    here, there = (end - begin for begin, end in zip(began, now()))
    assert 0.6 < here / there < 1.6


def test_there_is_no_network() -> None:
    assert os.listdir("/sys/class/net") == ["lo"]


def test_the_ordinary_user_has_subordinate_ids() -> None:
    assert user_account().pw_name == "libct-test"
    assert not missing("user", "uidmap")


def test_the_release_is_the_lanes() -> None:
    release = Path("/etc/os-release").read_text()
    assert f"VERSION_CODENAME={LANES[lane()].image.suite}" in release
    assert (
        sys.version_info[:2] == {"bookworm": (3, 11), "trixie": (3, 13)}[LANES[lane()].image.suite]
    )

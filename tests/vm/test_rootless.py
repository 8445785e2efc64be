"""Ordinary users and systemd: what is delegated to them, and what a reload takes away."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..bundles import make_bundle
from ..commands import (
    as_user,
    libct,
    libct_command,
    libct_environment,
    run,
    state_root,
    user_account,
)
from ..support import requires, unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

pytestmark = requires("vm", "root", "user", "busybox")

TOP = Path("/sys/fs/cgroup")
SCOPE = ("systemd-run", "--scope", "--quiet")
DELEGATED = ("-p", "Delegate=yes")


@pytest.fixture(scope="module")
def manager() -> Mapping[str, str]:
    """The environment of the user, whose manager runs."""
    if not (TOP / "cgroup.controllers").exists():
        pytest.skip("this lane has cgroup v1")
    account = user_account()
    subprocess.run(["loginctl", "enable-linger", account.pw_name], check=True)
    bus = f"/run/user/{account.pw_uid}/bus"
    assert wait_until(lambda: Path(bus).exists(), patience=120)
    return {
        **libct_environment(user=True),
        "XDG_RUNTIME_DIR": bus[: -len("/bus")],
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}",
    }


def in_scope(env: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """libct as the only process of a scope of the user's."""
    command = [*SCOPE, "--user", *DELEGATED, *libct_command(*words, user=True)]
    return as_user(*command, env=env, timeout=300)


def test_a_limit_in_a_scope_of_the_users_own(manager: Mapping[str, str], user_path: Path) -> None:
    linux = {
        "resources": {
            "memory": {"limit": 64 << 20},
            "pids": {"limit": 40},
            "cpu": {"quota": 20000, "period": 100000},
        }
    }
    bundle = make_bundle(user_path, rootless=True, args=["sleep", "1000"], linux=linux)
    name = unique()
    created = in_scope(manager, "run", "-d", "-b", str(bundle), name)
    assert created.returncode == 0, created
    try:
        state = json.loads(libct("state", name, user=True, env=manager, check=True).stdout)
        own = Path(f"/proc/{state['pid']}/cgroup").read_text().strip().rpartition(":")[2]
        group = Path(f"{TOP}{own}")
        assert group.parent.name.endswith(".scope")
        assert group.parent.parent.name == "app.slice"
        assert (group / "memory.max").read_text() == f"{64 << 20}\n"
        assert (group / "pids.max").read_text() == "40\n"
        assert (group / "cpu.max").read_text() == "20000 100000\n"
        # Neither manager takes anything from what it has delegated.
        as_user("systemctl", "--user", "daemon-reload", env=manager, timeout=120, check=True)
        run(["systemctl", "daemon-reload"], timeout=120, check=True)
        time.sleep(3)
        assert (group / "cpu.max").read_text() == "20000 100000\n"
        updated = libct("update", "--pids-limit", "30", name, user=True, env=manager)
        assert updated.returncode == 0, updated
        assert (group / "pids.max").read_text() == "30\n"
    finally:
        libct("delete", "--force", name, user=True, env=manager, check=True)
    assert wait_until(lambda: not group.parent.exists(), patience=60)


def test_limits_bite(manager: Mapping[str, str]) -> None:
    ended = in_scope(
        manager, "sandbox", "--memory", "20M", "--", "python3", "-c", "bytearray(200 << 20)"
    )
    assert ended.returncode == 137, ended
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; wait"
    ended = in_scope(manager, "sandbox", "--pids", "10", "--", "sh", "-c", script)
    assert "fork" in ended.stderr, ended


def test_what_is_not_delegated_is_told_of(manager: Mapping[str, str]) -> None:
    """Beside a group of root's there is nothing for him but what his systemd makes."""
    limited = ("sandbox", "--memory", "64M", "--", "true")
    done = libct("--cgroup-manager", "cgroupfs", *limited, user=True, env=manager)
    assert done.returncode == 125
    assert "systemd-run --user --scope -p Delegate=yes libct" in done.stderr
    done = libct(*limited, user=True, env=manager)
    assert done.returncode == 0, done
    done = libct("sandbox", "--", "true", user=True, env=manager)
    assert done.returncode == 0, done


def test_with_others_in_the_scope_nobody_is_moved(manager: Mapping[str, str]) -> None:
    """The container's group is beside it then, in the user's slice."""
    command = libct_command("sandbox", "--pids", "50", "--", "true", user=True)
    script = "$0 $@; echo $?; find /sys/fs/cgroup/$(sed -n 's/^0:://p' /proc/self/cgroup) -type d"
    done = as_user(
        *SCOPE, "--user", *DELEGATED, "sh", "-c", script, *command, env=manager, timeout=120
    )
    status, *groups = done.stdout.split()
    assert status == "0", done
    assert len(groups) == 1, done


# --- what a reload takes away ----------------------------------------------------------------


def reloaded() -> None:
    """systemd looks at what its units need of controllers, for a new one."""
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run([*SCOPE, "true"], check=True)
    time.sleep(3)


@pytest.mark.parametrize("delegated", [False, True])
def test_limits_below_a_unit_after_a_reload(
    manager: Mapping[str, str], tmp_path: Path, delegated: bool
) -> None:
    """Those that any runtime writes: gone where nothing is delegated, as `check` says."""
    unit = f"{unique()}.service"
    more: Sequence[str] = DELEGATED if delegated else ()
    keep = f"--unit={unit}", "--slice=libct.slice"
    subprocess.run(["systemd-run", "--quiet", *keep, *more, "sleep", "1000"], check=True)
    try:
        place = f"/libct.slice/{unit}" if delegated else "/libct.slice"
        if delegated:  # what is in it is to be below it
            procs = Path(f"{TOP}{place}/cgroup.procs")
            assert wait_until(lambda: bool(procs.read_text()))
            Path(f"{TOP}{place}/main").mkdir()
            Path(f"{TOP}{place}/main/cgroup.procs").write_text(procs.read_text())
        limits = {"cpu": {"quota": 20000, "period": 100000}}
        path = f"{place}/{unique()}"
        linux = {"cgroupsPath": path, "resources": limits}
        bundle = make_bundle(tmp_path, args=["sleep", "1000"], linux=linux)
        told = libct("check", "-b", bundle, "--json").stdout
        lines = [line for line in json.loads(told)["lines"] if line["place"] == "linux.cgroupsPath"]
        said = [line for line in lines if "not delegated" in line["text"]]
        assert bool(said) is not delegated, told
        name = unique()
        libct("run", "-d", "-b", bundle, name, check=True)
        try:
            file = Path(f"{TOP}{path}/cpu.max")
            assert file.read_text() == "20000 100000\n"
            reloaded()
            if delegated:
                assert file.read_text() == "20000 100000\n"
            else:
                assert not file.exists() or file.read_text() != "20000 100000\n"
        finally:
            libct("delete", "--force", name, check=True)
    finally:
        subprocess.run(["systemctl", "stop", unit], check=True)


def test_roots_container_is_in_its_own_unit(manager: Mapping[str, str], tmp_path: Path) -> None:
    linux = {"resources": {"cpu": {"quota": 20000, "period": 100000}}}
    bundle = make_bundle(tmp_path, args=["sleep", "1000"], linux=linux)
    name, unit = unique(), f"{unique()}.scope"
    command = libct_command("run", "-d", "-b", str(bundle), name, root=state_root())
    run(
        [*SCOPE, f"--unit={unit}", *DELEGATED, *command],
        env=libct_environment(),
        timeout=120,
        check=True,
    )
    try:
        group = TOP / "system.slice" / unit / name
        assert (group / "cpu.max").read_text() == "20000 100000\n"
        reloaded()
        assert (group / "cpu.max").read_text() == "20000 100000\n"
    finally:
        libct("delete", "--force", name, check=True)
    assert wait_until(lambda: not group.parent.exists(), patience=60)

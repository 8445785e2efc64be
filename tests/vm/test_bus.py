"""systemd itself over D-Bus: as process 1 of a guest, and a user's manager."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct.cgroups.systemd import connections, units
from libct.errors import SystemdError

from ..support import (
    libct_environment,
    requires,
    run,
    unique,
    user_account,
    user_python,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = requires("root", "systemd")

V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
INFINITY = 2**64 - 1
HIERARCHY = "/sys/fs/cgroup" if V2 else "/sys/fs/cgroup/systemd"
BUS = "unix:path=/run/dbus/system_bus_socket"


@pytest.fixture(params=["daemon", "private socket"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "private socket":
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/no-such-bus")
    yield request.param
    connections.disconnect()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def systemctl(*args: str) -> str:
    """What it prints; it asks systemd at the private socket."""
    return run(["systemctl", *args], timeout=600, check=True).stdout.strip()


def show(unit: str, name: str) -> str:
    return systemctl("show", "--value", "-p", name, unit)


def groups_of(pid: int) -> list[str]:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return [line.split(":", 2)[2] for line in lines]


def test_a_scope_lives_and_ends(way: str, sleeper: subprocess.Popen[bytes]) -> None:
    name = unique() + ".scope"
    properties = [
        ("Description", "s", "a test\u00fc"),
        ("Slice", "s", "system.slice"),
        ("Delegate", "b", True),
        ("DefaultDependencies", "b", False),
        ("TasksAccounting", "b", True),
        ("TasksMax", "t", 11),
        ("MemoryMax" if V2 else "MemoryLimit", "t", 2**26),
        ("CPUQuotaPerSecUSec", "t", 200_000),
        ("DevicePolicy", "s", "strict"),
        ("DeviceAllow", "a(ss)", [("/dev/null", "rwm"), ("char-pts", "rw")]),
    ]
    pidfd = os.pidfd_open(sleeper.pid)
    units.start_transient_unit(name, properties, user=False, pid=sleeper.pid, pidfd=pidfd)
    os.close(pidfd)

    def read(name_of: str) -> Any:
        return units.unit_property(name, name_of, user=False)

    assert read("ControlGroup") == f"/system.slice/{name}"
    assert f"/system.slice/{name}" in groups_of(sleeper.pid)
    assert read("ActiveState") == "active"
    assert read("Description") == show(name, "Description") == "a test\u00fc"
    assert read("InvocationID").hex() == show(name, "InvocationID")
    assert read("TasksMax") == 11
    assert show(name, "TasksMax") == "11"
    assert read("CPUQuotaPerSecUSec") == 200_000
    assert sorted(read("DeviceAllow")) == [("/dev/null", "rwm"), ("char-pts", "rw")]

    changes = [
        ("TasksMax", "t", INFINITY),
        ("CPUWeight" if V2 else "CPUShares", "t", 200),
        ("DeviceAllow", "a(ss)", []),
        ("DeviceAllow", "a(ss)", [("/dev/zero", "r")]),
        *([("AllowedCPUs", "ay", b"\x01")] if V2 else []),
    ]
    units.set_unit_properties(name, changes, user=False)
    assert show(name, "TasksMax") == "infinity"
    assert show(name, "CPUWeight" if V2 else "CPUShares") == "200"
    assert read("DeviceAllow") == [("/dev/zero", "r")]
    if V2:
        assert read("AllowedCPUs")[:1] == b"\x01"

    units.stop_unit(name, user=False)
    assert sleeper.wait() != 0
    assert read("LoadState") == "not-found"
    assert read("ActiveState") == "inactive"
    units.stop_unit(name, user=False)


def test_a_process_is_named_by_its_descriptor(way: str, sleeper: subprocess.Popen[bytes]) -> None:
    """Alone, which older versions refuse."""
    name = unique() + ".scope"
    pidfd = os.pidfd_open(sleeper.pid)
    try:
        if units.manager_version(user=False) < 255:
            with pytest.raises(SystemdError, match="PIDFDs"):
                units.start_transient_unit(name, [], user=False, pidfd=pidfd)
        else:
            units.start_transient_unit(name, [], user=False, pidfd=pidfd)
            assert f"/system.slice/{name}" in groups_of(sleeper.pid)
            units.stop_unit(name, user=False)
    finally:
        os.close(pidfd)


def test_a_unit_that_is_there(way: str, sleeper: subprocess.Popen[bytes]) -> None:
    name = unique() + ".scope"
    units.start_transient_unit(name, [], user=False, pid=sleeper.pid)
    with pytest.raises(SystemdError, match="cannot start the unit") as caught:
        units.start_transient_unit(name, [], user=False, pid=sleeper.pid)
    assert caught.value.name.endswith(".UnitExists")
    units.start_transient_unit(name, [], user=False, pid=sleeper.pid, exist_ok=True)
    units.stop_unit(name, user=False)


def service(name: str, *command: str) -> None:
    properties = [
        ("Type", "s", "oneshot"),
        ("RemainAfterExit", "b", True),
        ("ExecStart", "a(sasb)", [(command[0], command, False)]),
    ]
    units.start_transient_unit(name, properties, user=False)


def test_a_job_that_fails(way: str) -> None:
    name = unique() + ".service"
    for _ in range(2):
        with pytest.raises(SystemdError, match="it failed") as caught:
            service(name, "/bin/false")
        assert caught.value.result == "failed"
    # Left failed, as by somebody else, it is reset and started.
    systemd_run = ["systemd-run", "--quiet", "--wait", "--unit", name, "/bin/false"]
    assert run(systemd_run, env={"DBUS_SYSTEM_BUS_ADDRESS": BUS}, timeout=600).returncode != 0
    assert show(name, "ActiveState") == "failed"
    service(name, "/bin/true")
    assert show(name, "ActiveState") == "active"
    units.stop_unit(name, user=False)


def test_a_scope_without_its_process(way: str) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    name = unique() + ".scope"
    with pytest.raises(SystemdError, match="cannot start the unit"):
        units.start_transient_unit(name, [], user=False, pid=process.pid)
    assert show(name, "LoadState") == "not-found"


def test_a_property_that_nobody_knows(way: str, sleeper: subprocess.Popen[bytes]) -> None:
    name = unique() + ".scope"
    with pytest.raises(SystemdError, match="NoSuchThing"):
        units.start_transient_unit(name, [("NoSuchThing", "t", 1)], user=False, pid=sleeper.pid)
    assert show(name, "LoadState") == "not-found"


def test_processes_are_attached(way: str, sleeper: subprocess.Popen[bytes]) -> None:
    name = unique() + ".scope"
    delegated = [("Delegate", "b", True)]
    units.start_transient_unit(name, delegated, user=False, pid=sleeper.pid)
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            units.attach_processes_to_unit(name, "", [other.pid], user=False)
            assert f"/system.slice/{name}" in groups_of(other.pid)
            os.mkdir(f"{HIERARCHY}/system.slice/{name}/below")
            units.attach_processes_to_unit(name, "/below", [other.pid], user=False)
            assert f"/system.slice/{name}/below" in groups_of(other.pid)
            units.stop_unit(name, user=False)
            assert other.wait() != 0
        finally:
            other.kill()


def test_a_stop_that_takes_too_long(way: str) -> None:
    name = unique() + ".scope"
    with subprocess.Popen(["sh", "-c", "trap '' TERM; echo; exec sleep 600"], stdout=-1) as process:
        assert process.stdout
        process.stdout.readline()
        units.start_transient_unit(name, [], user=False, pid=process.pid)
        with pytest.raises(SystemdError, match="no answer from systemd in 2 seconds"):
            units.stop_unit(name, user=False, timeout=2)
        process.kill()
    units.stop_unit(name, user=False)
    assert show(name, "LoadState") == "not-found"


def test_what_the_manager_says(way: str) -> None:
    first = run(["systemctl", "--version"], check=True).stdout.split()[1]
    assert units.manager_version(user=False) == int(first)
    assert units.manager_cgroup(user=False) == ""
    assert units.available(user=False) == ""


def test_units_while_systemd_reloads(way: str) -> None:
    """None is missed, and no descriptor is left."""
    units.manager_version(user=False)
    before = len(os.listdir("/proc/self/fd"))
    took = []
    for _ in range(5):
        with subprocess.Popen(["sleep", "600"]) as process:
            thread = threading.Thread(target=systemctl, args=("daemon-reload",))
            thread.start()
            try:
                name = unique() + ".scope"
                start = time.monotonic()
                units.start_transient_unit(name, [], user=False, pid=process.pid, timeout=300)
                units.stop_unit(name, user=False, timeout=300)
                took.append(time.monotonic() - start)
            finally:
                process.kill()
                thread.join()
    print(f"{way}: start and stop {sorted(took)[len(took) // 2] * 1e3:.1f} ms")
    assert len(os.listdir("/proc/self/fd")) == before


# --- as an ordinary user ---

_PROGRAM = """
import json, subprocess, sys
from libct.cgroups.systemd import units
from libct.errors import SystemdError
name, user = sys.argv[1], sys.argv[2] == "user"
with subprocess.Popen(["sleep", "600"]) as process:
    try:
        units.start_transient_unit(name, [("Delegate", "b", True)], user=user, pid=process.pid)
    except SystemdError as error:
        print(json.dumps([error.name, error.message, error.hint]))
    else:
        group = units.unit_property(name, "ControlGroup", user=user)
        of_process = open(f"/proc/{process.pid}/cgroup").read()
        print(json.dumps([group, group in of_process, units.manager_cgroup(user=user)]))
        units.stop_unit(name, user=user)
    process.kill()
"""


def as_user(which: str, *before: str) -> Any:
    """What the program says that asks the manager of the system or the user's."""
    runtime = f"/run/user/{user_account().pw_uid}"
    done = run(
        [*before, user_python(), "-c", _PROGRAM, unique() + ".scope", which],
        user=True,
        env={**libct_environment(user=True), "XDG_RUNTIME_DIR": runtime},
        timeout=600,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.fixture
def manager() -> str:
    """The group of the user's manager."""
    account = user_account()
    run(["loginctl", "enable-linger", account.pw_name], check=True)
    assert wait_until(lambda: os.path.exists(f"/run/user/{account.pw_uid}/bus"))
    return f"/user.slice/user-{account.pw_uid}.slice/user@{account.pw_uid}.service"


@pytest.mark.parametrize("before", [(), ("unshare", "--user", "--map-root-user")])
def test_the_user_s_manager(manager: str, before: tuple[str, ...]) -> None:
    answer = as_user("user", *before)
    group, entered, above = answer
    assert above == manager, answer
    assert group.startswith(f"{manager}/app.slice/libct-")
    assert entered


def test_an_ordinary_user_is_refused_by_the_system_s(manager: str) -> None:
    name, message, hint = as_user("system")
    assert name.startswith("org.freedesktop.DBus.Error."), (name, message)
    assert message.startswith("cannot start the unit 'libct-")
    assert "polkit" in hint

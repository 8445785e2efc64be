"""systemd over D-Bus, on a bus of the tests' own with a stand-in for systemd.

tests/vm/test_bus.py has it with systemd itself.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from libct.cgroups.systemd import connections, units
from libct.cgroups.systemd.bus import Limit
from libct.cgroups.systemd.connections import turn
from libct.errors import SystemdError
from libct.syscalls import sd_bus

from ..buses import Bus
from ..support import (
    CLONE_NEWUSER,
    forked,
    in_namespaces,
    libct_environment,
    requires,
    run,
    user_python,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = requires("dbus")


@pytest.fixture(scope="module")
def shared() -> Iterator[Bus]:
    with Bus() as bus:
        yield bus


@pytest.fixture
def bus(shared: Bus, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", shared.address)
    shared.calls()
    yield shared
    connections.disconnect()


@pytest.fixture
def fragile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    """A bus that the test may break."""
    with Bus() as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        monkeypatch.setattr(connections, "_SYSTEM_PRIVATE", f"{bus.directory}/none")
        yield bus
        connections.disconnect()


def start(name: str, properties: Any = (), **how: Any) -> None:
    units.start_transient_unit(name, properties, user=False, **how)


# --- values ---

VALUES = [
    ("s", "text with \u00fc, 'quotes' and \U0001f600"), ("s", ""), ("o", "/a/b"), ("g", "a{sv}"),
    ("b", True), ("b", False), ("y", 255), ("n", -(2**15)), ("q", 2**16 - 1), ("i", -(2**31)),
    ("u", 2**32 - 1), ("x", -(2**63)), ("t", 2**64 - 1), ("d", 1.5),
    ("ay", b""), ("ay", b"\x0f\x01\x00\xff"), ("as", []), ("as", ["a", "", "b"]), ("au", [1, 2]),
    ("at", [0, 2**64 - 1]), ("a(ss)", []), ("a(ss)", [("/dev/null", "rwm"), ("char-pts", "rw")]),
    ("a(st)", [("/dev/vda", 2**40)]), ("(s(ub)as)", ("a", (1, True), ["b"])),
    ("a{su}", {"a": 1, "b": 2}), ("a{s(ii)}", {"a": (1, -1)}), ("aay", [b"a", b"", b"bc"]),
    ("aau", [[1], [], [2, 3]]),
]  # fmt: skip


@pytest.mark.parametrize(("signature", "value"), VALUES)
def test_values_come_back_as_they_were(bus: Bus, signature: str, value: Any) -> None:
    """The stand-in copies the message with libsystemd's own function, types and all."""
    assert echo(signature, value) == [value]
    assert echo("v", (signature, value)) == [value]


def test_many_values_in_one_message(bus: Bus) -> None:
    signature = "".join(signature for signature, _ in VALUES)
    values = [value for _, value in VALUES]
    assert echo(signature, *values) == values
    properties = [(f"P{n}", (signature, value)) for n, (signature, value) in enumerate(VALUES)]
    assert echo("a(sv)", properties) == [[(f"P{n}", value) for n, value in enumerate(values)]]


def test_a_descriptor_arrives_as_a_copy(bus: Bus) -> None:
    reader, writer = os.pipe()
    (got,) = echo("ah", [writer])[0]
    assert os.fstat(got).st_ino == os.fstat(reader).st_ino
    assert not os.get_inheritable(got)
    for fd in (reader, writer, got):
        os.close(fd)


BAD = [
    ("u", -1), ("u", 2**32), ("y", 256), ("t", 2**64), ("t", -1), ("t", 1.5), ("u", "1"),
    ("u", True), ("b", 1), ("s", b"a"), ("s", 1), ("s", "a\0b"), ("s", "\udcff"), ("ay", "a"),
    ("as", "ab"), ("(su)", ("a",)), ("a(ss)", [("a", "b", "c")]), ("a(ss)", ["ab", "c"]),
    ("d", "x"),
]  # fmt: skip


@pytest.mark.parametrize(("signature", "value"), BAD)
def test_what_is_no_value_of_the_type_is_not_sent(bus: Bus, signature: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"D-Bus|not bytes|not a list"):
        start("done.scope", [("P", signature, value)])
    start("done.scope")  # and the next one is
    assert [call[0] for call in bus.calls()].count("StartTransientUnit") == 1


def echo(signature: str, *values: Any) -> list[Any]:
    limit = Limit(10)
    with turn(user=False, limit=limit) as bus:
        return bus.call("Echo", signature, *values, what="have it echoed", limit=limit)


# --- jobs ---


@pytest.mark.parametrize("name", ["done.scope", "early.scope", "slow.scope", "other.scope"])
def test_a_unit_is_started(bus: Bus, name: str) -> None:
    """Its job may be over before the reply comes, and others of the same unit may fail."""
    properties = [("Delegate", "b", True), ("TasksMax", "t", 10)]
    start(name, properties, pid=os.getpid())
    assert bus.calls("StartTransientUnit") == [
        [
            "StartTransientUnit",
            name,
            "replace",
            [["Delegate", True], ["TasksMax", 10], ["PIDs", [os.getpid()]]],
            [],
        ]
    ]


def test_the_end_of_the_job_is_waited_for(bus: Bus) -> None:
    before = time.monotonic()
    start("slow.scope")
    assert time.monotonic() - before >= 0.5


def test_a_process_is_named_by_its_descriptor(bus: Bus) -> None:
    pidfd = os.pidfd_open(os.getpid())
    start("done.scope", pid=os.getpid(), pidfd=pidfd)
    os.close(pidfd)
    assert bus.calls("process") == [["process", str(os.getpid())]]


def test_and_by_its_number_where_systemd_is_older(bus: Bus) -> None:
    pidfd = os.pidfd_open(os.getpid())
    start("old.scope", pid=os.getpid(), pidfd=pidfd)
    os.close(pidfd)
    names = [[name for name, _ in call[3]] for call in bus.calls("StartTransientUnit")]
    assert names[-1] == ["PIDs"]


@pytest.mark.parametrize("result", ["failed", "timeout", "canceled", "dependency", "unheard-of"])
def test_a_job_that_fails_is_an_error(bus: Bus, result: str) -> None:
    name = f"result-{result}.scope"
    with pytest.raises(SystemdError, match=f"cannot start the unit '{name}'") as caught:
        start(name)
    assert caught.value.result == result
    assert result in caught.value.message
    assert caught.value.hint == f"see journalctl -u {name}"
    assert bus.calls()[-1] == ["ResetFailedUnit", name]


def test_a_unit_that_failed_before_is_reset_first(bus: Bus) -> None:
    start("exists-once.scope")
    assert [call[0] for call in bus.calls()][-3:] == [
        "StartTransientUnit",
        "ResetFailedUnit",
        "StartTransientUnit",
    ]


def test_a_unit_that_is_there_is_an_error_or_fine(bus: Bus) -> None:
    with pytest.raises(SystemdError, match="already loaded") as caught:
        start("exists-always.scope")
    assert caught.value.name == "org.freedesktop.systemd1.UnitExists"
    assert caught.value.hint.endswith("systemctl stop exists-always.scope")
    assert [call[0] for call in bus.calls()].count("StartTransientUnit") == 2
    start("exists-always.slice", exist_ok=True)
    assert [call[0] for call in bus.calls()].count("StartTransientUnit") == 1


def test_another_s_word_on_a_job_is_not_believed(bus: Bus) -> None:
    """Anybody on the system's bus may send a signal to anybody, and with anything in it."""
    start("forged.scope")


def test_units_are_stopped(bus: Bus) -> None:
    units.stop_unit("done.scope", user=False)
    units.stop_unit("missing.scope", user=False)
    assert bus.calls("StopUnit", "ResetFailedUnit") == [
        ["StopUnit", "done.scope", "replace"],
        ["ResetFailedUnit", "done.scope"],
        ["StopUnit", "missing.scope", "replace"],
        ["ResetFailedUnit", "missing.scope"],
    ]
    with pytest.raises(SystemdError, match=r"cannot stop the unit 'result-timeout\.scope'"):
        units.stop_unit("result-timeout.scope", user=False)


# --- the other requests ---


def test_properties_are_set(bus: Bus) -> None:
    properties = [("DeviceAllow", "a(ss)", ()), ("DeviceAllow", "a(ss)", (("/dev/null", "rwm"),))]
    units.set_unit_properties("a.scope", properties, user=False)
    expected = [["DeviceAllow", []], ["DeviceAllow", [["/dev/null", "rwm"]]]]
    assert bus.calls("SetUnitProperties") == [["SetUnitProperties", "a.scope", True, expected]]


def test_a_property_that_systemd_does_not_know(bus: Bus) -> None:
    with pytest.raises(SystemdError, match="Cannot set property NoSuch") as caught:
        units.set_unit_properties("a.scope", [("NoSuch", "t", 1)], user=False)
    assert caught.value.hint == "this version of systemd may not know the property"


def test_processes_are_attached(bus: Bus) -> None:
    units.attach_processes_to_unit("a.scope", "/below", [1, 2], user=False)
    assert bus.calls("AttachProcessesToUnit") == [
        ["AttachProcessesToUnit", "a.scope", "/below", [1, 2]]
    ]


def test_properties_are_read(bus: Bus) -> None:
    def read(name: str) -> Any:
        return units.unit_property("done.scope", name, user=False)

    assert read("ControlGroup") == "/system.slice/done.scope"
    assert read("MemoryMax") == 2**64 - 1
    assert read("Description") == "the unit"  # of all units, not of scopes
    assert read("InvocationID") == bytes(range(16))
    with pytest.raises(SystemdError, match="Unknown property NoSuch"):
        read("NoSuch")
    assert units.manager_version(user=False) == 252
    assert units.manager_cgroup(user=False) == ""
    assert units.available(user=False) == ""


def test_a_user_without_the_right_is_told(bus: Bus) -> None:
    with pytest.raises(SystemdError, match="Interactive authentication required") as caught:
        start("denied.scope")
    assert "polkit" in caught.value.hint


# --- time, signals, threads, forks ---


@pytest.mark.longest(30)
@pytest.mark.parametrize("name", ["silent.scope", "endless.scope"])
def test_a_request_has_a_time_limit(bus: Bus, name: str) -> None:
    """Whether the reply is missing or the end of the job."""
    before = time.monotonic()
    with pytest.raises(SystemdError, match=r"no answer from systemd in 0\.3 seconds") as caught:
        start(name, timeout=0.3)
    assert 0.3 <= time.monotonic() - before < 5
    assert "systemctl list-jobs" in caught.value.hint
    start("done.scope")


@pytest.mark.parametrize("name", ["slow.scope", "silent.scope"])
def test_signals_interrupt_nothing(bus: Bus, name: str) -> None:
    def body() -> None:
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
        if name == "slow.scope":
            start(name)
        else:
            with pytest.raises(SystemdError, match="no answer"):
                start(name, timeout=0.5)

    forked(body)


def test_an_exception_of_a_handler_ends_it(bus: Bus) -> None:
    """And the late reply is not taken for that of the next request."""

    def body() -> None:
        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        start("done.scope")
        before = len(os.listdir("/proc/self/fd"))
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            start("slow.scope")
        assert len(os.listdir("/proc/self/fd")) == before - 1
        with pytest.raises(SystemdError) as caught:
            start("result-failed.scope")
        assert caught.value.result == "failed"

    forked(body)


def test_threads_share_one_connection(bus: Bus) -> None:
    failures = []

    def body(number: int) -> None:
        try:
            for turn_of in range(10):
                if number % 2:
                    start(f"done-{number}-{turn_of}.scope")
                else:
                    with pytest.raises(SystemdError, match=f"result-x{number}{turn_of}"):
                        start(f"result-x{number}{turn_of}.scope")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=body, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(bus.calls("Subscribe")) == 1


def test_a_thread_waits_for_its_turn_for_a_limited_time(bus: Bus) -> None:
    thread = threading.Thread(target=start, args=("slow.scope",))
    thread.start()
    time.sleep(0.2)
    with pytest.raises(SystemdError, match="another thread has been asking it"):
        units.manager_version(user=False, timeout=0.1)
    assert units.manager_version(user=False) == 252
    thread.join()


def test_a_fork_has_a_connection_of_its_own(bus: Bus) -> None:
    """Even if a thread that it does not have was using its parent's."""
    thread = threading.Thread(target=start, args=("slow.scope",))
    thread.start()
    time.sleep(0.2)
    assert forked(lambda: units.manager_version(user=False)) == 252
    thread.join()
    assert forked(lambda: units.manager_version(user=False, timeout=1)) == 252
    start("done.scope")
    assert len(bus.calls("Subscribe")) == 1  # the parent's first one still serves


def test_nothing_is_left_of_many_requests(bus: Bus) -> None:
    def body() -> None:
        def cycle() -> None:
            start("done.scope")
            units.unit_property("done.scope", "Description", user=False)
            units.stop_unit("done.scope", user=False)
            with pytest.raises(SystemdError):
                start("result-failed.scope")

        for _ in range(20):
            cycle()
        before = len(os.listdir("/proc/self/fd")), memory()
        for _ in range(200):
            cycle()
        assert len(os.listdir("/proc/self/fd")) == before[0]
        assert memory() - before[1] < 2**20

    forked(body)


def memory() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- connections ---


def test_a_bus_that_dies_is_an_error_and_dialled_anew(fragile: Bus) -> None:
    start("done.scope")
    for name in ("busdies.scope", "latebusdies.scope"):
        with pytest.raises(SystemdError, match="the connection to systemd was closed") as caught:
            start(name)
        assert "try again" in caught.value.hint
        with pytest.raises(SystemdError, match=f"cannot reach systemd: {fragile.address}"):
            start("done.scope")
        fragile.stop()
        fragile.start()
        start("done.scope")


def test_one_that_was_restarted_meanwhile_is_dialled_anew(fragile: Bus) -> None:
    start("done.scope")
    fragile.stop()
    fragile.start()
    start("done.scope")


def test_another_address_is_another_connection(
    bus: Bus, fragile: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (bus, fragile):
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", each.address)
        start("done.scope")
        assert len(each.calls("StartTransientUnit")) == 1


def test_a_systemd_that_leaves_is_an_error(fragile: Bus) -> None:
    with pytest.raises(SystemdError, match=r"cannot start the unit 'dies\.scope'") as caught:
        start("dies.scope")
    assert caught.value.name.endswith("NoReply")
    with pytest.raises(SystemdError) as caught:
        start("done.scope")
    assert "no systemd is on this bus" in caught.value.hint


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    """systemd itself, at its private socket, and no daemon."""
    with Bus(direct=True) as bus:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(bus.directory))
        monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={bus.directory}/none")
        monkeypatch.setattr(connections, "_SYSTEM_PRIVATE", str(bus.socket))
        yield bus
        connections.disconnect()


@pytest.mark.parametrize("user", [False, True])
def test_systemd_is_asked_at_its_private_socket_without_a_daemon(private: Bus, user: bool) -> None:
    if not user and os.geteuid() != 0:
        pytest.skip("only root is answered there by the system's manager")
    units.start_transient_unit("early.scope", [("Delegate", "b", True)], user=user)
    with pytest.raises(SystemdError) as caught:
        units.start_transient_unit("result-failed.scope", [], user=user)
    assert caught.value.result == "failed"
    assert ("--user" in caught.value.hint) == user
    assert private.calls("Subscribe") == []


def test_what_is_signalled_of_other_units_is_not_kept(private: Bus) -> None:
    """Of a direct connection all hears all signals."""
    limit = Limit(10)
    with turn(user=True, limit=limit) as bus:
        bus.watch_jobs("neighbour.scope", what="", limit=limit)
        arguments = ("neighbour.scope", "replace", (), ())
        signature = "ssa(sv)a(sa(sv))"
        (job,) = bus.call("StartTransientUnit", signature, *arguments, what="", limit=limit)
        assert bus.job_result(job, what="", limit=limit) == "done"
        assert bus._jobs == {}


def fill(bus: Bus) -> list[socket.socket]:
    """Keep the stand-in busy by our connection, and leave no room for others in its queue."""
    units.manager_version(user=True)
    held = []
    while True:
        held.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        if held[-1].connect_ex(str(bus.socket)) == errno.EAGAIN:
            return held


def another() -> str:
    """What another process, which has none of our connections, gets as systemd's version."""
    code = """
from libct.cgroups.systemd import units
print(units.available(user=True) or units.manager_version(user=True))
"""
    return run([sys.executable, "-c", code], env=libct_environment(), check=True).stdout.strip()


def test_a_daemon_that_is_busy_is_tried_again(private: Bus) -> None:
    held = fill(private)

    def leave() -> None:
        for client in held:
            client.close()
        connections.disconnect()

    timer = threading.Timer(0.5, leave)
    timer.start()
    assert another() == "252"
    timer.join()


def test_but_not_for_ever(private: Bus) -> None:
    held = fill(private)
    text = another()
    for client in held:
        client.close()
    assert f"{private.address}: Resource temporarily unavailable" in text


def test_a_daemon_that_says_nothing(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path_factory.mktemp("mute") / "bus"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen()
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={path}")
        with pytest.raises(SystemdError, match=r"cannot connect to systemd: no answer .* 0\.3 sec"):
            units.manager_version(user=False, timeout=0.3)


def test_no_bus(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path_factory.mktemp("none")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    text = units.available(user=True)
    assert text.startswith(f"cannot reach systemd's user manager: unix:path={path}/bus: No such")
    assert "loginctl enable-linger" in text
    assert "--cgroup-manager cgroupfs" in text


@pytest.mark.parametrize("library", ["libnone.so.0", "libc.so.6"])
def test_no_library(bus: Bus, library: str) -> None:
    def body() -> str:
        sd_bus.LIBRARY = library
        sd_bus._functions.clear()
        connections.disconnect()
        return units.available(user=False)

    text = forked(body)
    assert text.startswith(f"cannot load {library}: ")
    assert text.endswith("install libsystemd0 (systemd-libs, libsystemd), or use"
                         " --cgroup-manager cgroupfs to do without systemd)")  # fmt: skip


@requires("root", "user")
def test_who_may_not_connect_is_told() -> None:
    """Root is, but for its own, a stranger to a user's bus."""
    with Bus(everybody=False) as bus:
        code = "from libct.cgroups.systemd import units; print(units.available(user=True))"
        done = run(
            [user_python(), "-c", code],
            user=True,
            env={**libct_environment(user=True), "DBUS_SESSION_BUS_ADDRESS": bus.address},
        )
        assert done.stdout.startswith(f"cannot reach systemd's user manager: {bus.address}: ")


@requires("user")
def test_root_of_a_user_namespace_reaches_the_user_s_bus() -> None:
    """There it says that it is nobody in particular: the bus sees who it is outside."""
    with Bus(user=True, everybody=False) as bus:
        code = (
            "import os; from libct.cgroups.systemd import units;"
            "print(os.getuid(), units.manager_version(user=True))"
        )
        done = run(
            ["unshare", "--user", "--map-root-user", user_python(), "-c", code],
            user=True,
            env={**libct_environment(user=True), "DBUS_SESSION_BUS_ADDRESS": bus.address},
        )
        assert done.stdout == "0 252\n", done.stderr


@requires("root", "userns")
def test_and_finds_the_user_s_runtime_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)

    def body() -> list[tuple[str, bool]]:
        os.setuid(0)  # which 1234 is outside
        return connections.addresses(user=True)

    found = in_namespaces(CLONE_NEWUSER, body, uid_map="0 1234 1", gid_map="0 1234 1")
    runtime = "unix:path=/run/user/1234"
    assert found == [(f"{runtime}/bus", False), (f"{runtime}/systemd/private", True)]

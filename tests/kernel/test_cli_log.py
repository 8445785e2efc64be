"""Logs to journald and syslog, and the pidfd that goes to crun's receiver.

The daemons are sockets of ours, at their places in a mount namespace.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import time
from pathlib import Path

import pytest

from libct.cli import datagrams
from tests.bundles import make_bundle
from tests.commands import libct
from tests.names import unique
from tests.processes import CLONE_NEWNS, in_namespaces, mount
from tests.support import requires

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

_BIND = 4096


def daemon(place: Path, name: str) -> socket.socket:
    place.mkdir()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(place / name))
    made.settimeout(10)
    return made


def test_errors_go_to_journald(tmp_path: Path) -> None:
    def body() -> None:
        mount("tmpfs", "/run", "tmpfs")
        Path("/run/systemd").mkdir()
        with daemon(Path("/run/systemd/journal"), "socket") as journal:
            done = libct("--log", "journald:here", "state", "no-such")
            assert done.returncode == 1
            fields = dict(line.split("=", 1) for line in journal.recv(65536).decode().splitlines())
        assert fields.pop("MESSAGE").startswith("container does not exist")
        assert fields == {"PRIORITY": "3", "SYSLOG_IDENTIFIER": "here", "ID": "here"}
        assert "container does not exist" in done.stderr

    in_namespaces(CLONE_NEWNS, body)


def test_errors_and_warnings_go_to_syslog(tmp_path: Path) -> None:
    def body() -> None:
        with daemon(tmp_path / "dev", "log") as syslog:
            os.mknod(tmp_path / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            mount(str(tmp_path / "dev"), "/dev", "", _BIND)
            # With several lines in an id there is one in the log.
            libct("--log", "syslog:there", "--criu", "x", "state", "no\nsuch")
            warning, error = syslog.recv(65536).decode(), syslog.recv(65536).decode()
        assert warning.startswith("<12>")
        assert " there: --criu is ignored" in warning
        assert error.startswith("<11>")
        assert r"no\nsuch" in error
        assert "\n" not in error

    in_namespaces(CLONE_NEWNS, body)


def test_one_wait_for_a_daemon_that_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "_SOCKETS", {"syslog": str(tmp_path / "dev/log")})
    monkeypatch.setattr(datagrams, "_SECONDS", 0.5)
    with daemon(tmp_path / "dev", "log"):
        log = datagrams.Datagrams("syslog", "here")
        began = time.monotonic()
        for _ in range(10000):
            log.write("warning", "word")
        assert 0.5 <= time.monotonic() - began < 5
        log.close()


def test_a_log_that_nobody_reads_is_an_error(tmp_path: Path) -> None:
    def body() -> None:
        mount("tmpfs", "/run", "tmpfs")
        done = libct("--log", "journald:x", "list")
        assert done.returncode == 1
        assert "cannot open the log journald:x: /run/systemd/journal/socket: no such" in done.stderr

    in_namespaces(CLONE_NEWNS, body)


def test_other_colons_are_those_of_files(tmp_path: Path) -> None:
    for text, name in (("file:log", "log"), ("other:log", "other:log")):
        libct("--log", text, "state", "no-such", cwd=tmp_path)
        assert "container does not exist" in (tmp_path / name).read_text()


def test_a_pidfd_goes_to_the_receiver(tmp_path: Path) -> None:
    receiver = socket.socket(socket.AF_UNIX)
    with receiver:
        receiver.bind(str(tmp_path / "socket"))
        receiver.listen()
        receiver.settimeout(10)
        annotations = {"run.oci.pidfd_receiver": str(tmp_path / "socket")}
        bundle = make_bundle(tmp_path / "bundle", args=["sleep", "100"], annotations=annotations)
        name = unique()
        libct("create", "-b", bundle, name, check=True)
        try:
            connection, _ = receiver.accept()
            with connection:
                _, (pidfd,), _, _ = socket.recv_fds(connection, 100, 1)
            libct("start", name, check=True)
            # Of exec'd processes there is none.
            libct("exec", name, "true", check=True)
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            assert select.select([pidfd], [], [], 10)[0] == [pidfd]
            os.close(pidfd)
        finally:
            libct("delete", "--force", name, check=True)


def test_a_receiver_that_never_accepts(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as receiver, socket.socket(socket.AF_UNIX) as other:
        receiver.bind(path)
        receiver.listen(0)
        other.connect(path)
        annotations = {"run.oci.pidfd_receiver": path}
        bundle = make_bundle(tmp_path / "bundle", annotations=annotations)
        done = libct("run", "-b", bundle, name := unique(), timeout=30)
    assert done.returncode == 1
    assert "pidfd socket" in done.stderr
    assert "nobody has accepted connections for 5 s" in done.stderr
    assert libct("state", name).returncode == 1


def test_without_the_receiver_there_is_no_container(tmp_path: Path) -> None:
    annotations = {"run.oci.pidfd_receiver": str(tmp_path / "none")}
    bundle = make_bundle(tmp_path / "bundle", annotations=annotations)
    done = libct("run", "-b", bundle, name := unique())
    assert done.returncode == 1
    assert "cannot connect to the pidfd socket" in done.stderr
    assert libct("state", name).returncode == 1

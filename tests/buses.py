"""Buses of the tests' own, with a stand-in for systemd on them (systemd_stand_in.py)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .commands import (
    CHECKOUT,
    give_to_user,
    libct_environment,
    user_environment,
    user_identity,
    user_python,
)
from .names import unique

if TYPE_CHECKING:
    from typing import Any

_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    {users}
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


class Bus:
    """A daemon with systemd's stand-in.  A context manager.

    user: both run as the ordinary user.  everybody: others may connect.
    direct: no daemon, but the stand-in at socket, with no more than one connection at a time.
    """

    def __init__(self, *, user: bool = False, everybody: bool = True, direct: bool = False) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=unique("bus")))
        self.user, self.direct = user, direct
        self.socket = self.directory / ("systemd/private" if direct else "bus")
        self.socket.parent.mkdir(exist_ok=True)
        self.log = self.directory / "log"
        self.log.touch()
        users = '<allow user="*"/>' if everybody else ""
        text = _CONFIGURATION.format(socket=self.socket, users=users)
        (self.directory / "conf").write_text(text)
        if user:
            give_to_user(self.directory)
        self._running: list[subprocess.Popen[bytes]] = []
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise

    @property
    def address(self) -> str:
        return f"unix:path={self.socket}"

    def start(self) -> None:
        program = [user_python() if self.user else sys.executable, "-m", "tests.systemd_stand_in"]
        if self.direct:
            self._run(*program, "--direct", self.socket, self.log)
        else:
            daemon = self._run("dbus-daemon", "--config-file", self.directory / "conf", "--nofork")
            self._wait()
            self._run(*program, self.address, self.log, daemon.pid)
            self._wait_for(lambda: self.calls("ready"))
        self._wait()

    def stop(self) -> None:
        for process in reversed(self._running):
            process.kill()
            process.wait()
        self._running.clear()
        self.socket.unlink(missing_ok=True)

    def calls(self, *members: str) -> list[list[Any]]:
        """What the stand-in was called for: [member, argument, ...], and forget it."""
        found = [json.loads(line) for line in self.log.read_text().splitlines()]
        wanted = [call for call in found if not members or call[0] in members]
        if wanted:
            self.log.write_text("")
        return wanted

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def _run(self, *args: object) -> subprocess.Popen[bytes]:
        environment = {**libct_environment(user=self.user), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"}
        process = subprocess.Popen(
            [str(arg) for arg in args],
            cwd=self.directory if self.user else CHECKOUT,
            env={**(user_environment() if self.user else {}), **environment},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **(user_identity() if self.user else {}),
        )
        self._running.append(process)
        return process

    def _wait(self) -> None:
        def answered() -> bool:
            with socket.socket(socket.AF_UNIX) as client:
                return client.connect_ex(str(self.socket)) == 0

        self._wait_for(answered)

    def _wait_for(self, condition: Any) -> None:
        end = time.monotonic() + 30
        while not condition():
            assert all(process.poll() is None for process in self._running)
            assert time.monotonic() < end
            time.sleep(0.02)

"""Programs that have a terminal, at which the test types."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest

from .commands import user_environment, user_identity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Session:
    """A command as the only job of a terminal of 30 lines and 100 columns.

    env: added to the environment.  user: as the ordinary user.
    stdin, stdout: descriptors to have in place of the terminal.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        user: bool = False,
        stdin: int | None = None,
        stdout: int | None = None,
    ) -> None:
        self.master, self.terminal = os.openpty()
        self.seen = b""
        self.resize(30, 100)
        self.before = termios.tcgetattr(self.terminal)
        self.process = subprocess.Popen(
            command,
            env={**(user_environment() if user else os.environ), **(env or {})},
            stdin=self.terminal if stdin is None else stdin,
            stdout=self.terminal if stdout is None else stdout,
            stderr=self.terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(2, termios.TIOCSCTTY, 0),
            **(user_identity() if user else {}),
        )

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.hang_up()
        os.close(self.terminal)

    def hang_up(self) -> None:
        """Close the terminal, as a terminal emulator does when its window is closed."""
        if self.master >= 0:
            os.close(self.master)
            self.master = -1

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read_until(self, pattern: str, *, patience: float = 20) -> str:
        """Read to the end of what matches pattern, and return all up to there."""
        deadline = time.monotonic() + patience
        while not (found := re.search(pattern.encode(), self.seen)):
            if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
                pytest.fail(f"no {pattern!r} in {self.seen!r}")
            self.seen += os.read(self.master, 4096)
        text, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return text.decode()

    def end(self) -> int:
        """Wait for the end; the terminal must be as it was before."""
        status = self.process.wait(20)
        assert termios.tcgetattr(self.terminal) == self.before
        return status

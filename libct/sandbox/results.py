"""How a command in a sandbox has ended, and what it has used."""

from __future__ import annotations

import subprocess

from ..config.record import Record
from ..errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    _Completed = subprocess.CompletedProcess[Any]
else:
    _Completed = subprocess.CompletedProcess

# What ended_by says.
EXIT, SIGNAL, TIMEOUT, MEMORY, OUTPUT = "exit", "signal", "timeout", "memory", "output"


class Usage(Record):
    """What a command has used; None is what is not known.

    wall, user, system: seconds that have passed, and those of CPU time by the programs
        themselves and by the kernel for them.
    memory: bytes, the most there were at a time.  written: bytes, to block devices.
    processes: the most there were at a time, every thread for one.

    memory, written and processes are counted by control groups, which a sandbox has when there
    is a limit of memory, pids or cpus; without one, memory is that of the largest process, where
    that has more than 32 MiB.
    """

    wall: float = 0.0
    user: float | None = None
    system: float | None = None
    memory: int | None = None
    written: int | None = None
    processes: int | None = None


class CompletedProcess(_Completed):
    """subprocess.CompletedProcess, with what was used and what the end was.

    ended_by: "exit"; "signal", also one that the command sent itself; "timeout", and it was
        killed for that; "memory", the kernel killed it for want of memory; "output", it was
        killed for more than max_output of it.
    hint: what to do about a failure, where what was captured tells; or "".
    """

    def __init__(
        self,
        args: list[str],
        returncode: int,
        stdout: Any = None,
        stderr: Any = None,
        *,
        usage: Usage | None = None,
        ended_by: str = EXIT,
        hint: str = "",
    ) -> None:
        super().__init__(args, returncode, stdout, stderr)
        self.usage = usage or Usage()
        self.ended_by, self.hint = ended_by, hint

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, ended_by={self.ended_by!r}, usage={self.usage!r})"

    def check_returncode(self) -> None:
        """Raise CalledProcessError unless it is 0, and all of the output is there."""
        if self.returncode or self.ended_by == OUTPUT:
            raise CalledProcessError(
                self.returncode,
                self.args,
                self.stdout,
                self.stderr,
                usage=self.usage,
                ended_by=self.ended_by,
                hint=self.hint,
            )


class TimeoutExpired(Error, subprocess.TimeoutExpired):
    """The command took longer than its timeout; from run(), it has been killed.

    cmd, timeout, output, stdout, stderr: as of subprocess.TimeoutExpired.
    usage, ended_by: where it has ended; None and "" where it still runs.
    """

    def __init__(
        self,
        cmd: list[str],
        timeout: float,
        output: bytes | None = None,
        stderr: bytes | None = None,
        *,
        usage: Usage | None = None,
    ) -> None:
        subprocess.TimeoutExpired.__init__(self, cmd, timeout, output, stderr)
        self.usage = usage
        self.ended_by = TIMEOUT if usage is not None else ""

    def __reduce__(self) -> Any:
        return _unpickled, (type(self), self.__dict__)

    def __str__(self) -> str:
        return f"Command {self.cmd!r} timed out after {self.timeout} seconds"


class CalledProcessError(Error, subprocess.CalledProcessError):
    """The exit status was not 0, and run(check=True) was to check that.

    returncode, cmd, output, stdout, stderr: as of subprocess.CalledProcessError.
    usage, ended_by, hint: as of CompletedProcess.
    """

    def __init__(
        self,
        returncode: int,
        cmd: list[str],
        output: Any = None,
        stderr: Any = None,
        *,
        usage: Usage,
        ended_by: str,
        hint: str = "",
    ) -> None:
        subprocess.CalledProcessError.__init__(self, returncode, cmd, output, stderr)
        self.usage, self.ended_by, self.hint = usage, ended_by, hint

    def __reduce__(self) -> Any:
        return _unpickled, (type(self), self.__dict__)

    def __str__(self) -> str:
        text = subprocess.CalledProcessError.__str__(self)
        if not self.returncode:
            text = f"Command {self.cmd!r} ended with status 0."
        why = {
            MEMORY: " It was out of memory.",
            OUTPUT: " It was killed for writing more than max_output.",
        }
        hint = f" ({self.hint})" if self.hint else ""
        return text + why.get(self.ended_by, "") + hint


def _unpickled(kind: type[Error], state: dict[str, Any]) -> Error:
    """The same error, in another process."""
    made = kind.__new__(kind)
    made.__dict__.update(state)
    return made

"""Waiting for the start without the interpreter.

A created container is a process that waits to be told to execute its command,
for hours perhaps, and all that is left to do by then is a read and an execve.
Neither needs Python.  So the remaining calls are lined up (lined_up.py): give the memory
of the interpreter back, read the byte that releases the process, execve, and if
that returns, write down why and end.

Lined-up calls cannot branch, and the read may be of nothing: who would bring the word has
ended.  So the byte that is read is the first one of the program's path.  Without it there
is nothing to be executed.

Where the C library has no contexts (musl) the process waits in Python.
"""

from __future__ import annotations

import posix

from ..errors import StepProblem
from ..syscalls.constants import PR_SET_DUMPABLE
from ..syscalls.core import cstring
from . import idle, lined_up
from .answer import ANSWER, EXECUTES, GO, START, failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context
    from .failure import Failure


def prepare_wait(context: Context, more: bool, shown: bool) -> None:
    """By who clones the process that waits, too, which has the same memory.

    more: there is something to do between the start and the command (hooks), for
        which the interpreter is needed.
    shown: the process is an ordinary user's, who may look at it and enter its namespaces
        while it waits.  It is what its command will be by then; with the interpreter in
        its memory it stays hidden.
    """
    if more or context.values["trace"].on or not lined_up.available():
        return
    fd = context.fds.pop("maps", -1)  # under Landlock rules it cannot be opened any more
    if fd < 0:
        fd = posix.open("self/maps", posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=context.fds["proc"])
    with open(fd, "rb") as maps:
        context.values["wait"] = Wait(maps.read(), posix.getcwd(), shown=shown)


def await_start(context: Context) -> None:
    """Read the byte that releases the process; where that is prepared, execute() does."""
    if "wait" not in context.values and posix.read(context.fds[START], 1) != GO:
        raise StepProblem("the messenger of the start has ended")
    context.values["released"] = True


class Wait:
    """The wait for the byte and the execve after it, prepared.

    maps: the text of /proc/self/maps.  directory: the working directory.
    shown: see prepare_wait().
    """

    def __init__(self, maps: bytes, directory: str, *, shown: bool = False) -> None:
        self._idle, self._directory, self._shown = idle.idle_memory(maps), directory, shown

    def execute(
        self,
        fds: dict[str, int],
        path: str,
        args: tuple[str, ...],
        env: tuple[str, ...],
        failure: Failure,
    ) -> None:
        """Wait for the byte, and execute the program; does not return.

        fds: START and ANSWER are used.
        failure: what is written to ANSWER, with the errno, in case that execve(2) fails.
        """
        failure.errno = lined_up.ERRNO_TO_COME
        text = failed(failure)
        arrays = [[cstring(one) + b"\0" for one in array] for array in (args, env)]
        if not path.startswith("/"):  # so that the first byte is the same for all
            path = f"{self._directory.rstrip('/')}/{path}"
        program = cstring(path) + b"\0"
        assert program.startswith(GO)
        calls = len(self._idle) + 7
        size = sum(len(one) + 32 for array in arrays for one in array) + len(program) + len(text)
        region = lined_up.Region(calls, size)
        argv, envp = map(region.strings, arrays)
        message = region.with_errno(text)
        word = region.place(EXECUTES)
        command = region.place(b"\0" + program[1:])
        idle.give_back(region, self._idle)
        if self._shown:  # last: where it fails, the process stays hidden
            region.call("prctl", PR_SET_DUMPABLE, 1)
        region.call("read", fds[START], command, 1)
        region.call("write", fds[ANSWER], word, len(EXECUTES))
        region.call("execve", command, argv, envp)
        region.call("writev", fds[ANSWER], message, 3)
        region.call("_exit", 1)
        region.go()

"""A command that is cloned without the interpreter, and without the server's memory.

A further process appears in a pid namespace with others in it.  One of them may trace it, and
would find what is in its memory.  So it gets next to nothing: the C library, a stack, and the words
of its command.  The stage has done all that there is to be done, but what a process
can only do itself.  That is little and cannot fail, and so it is lined up (lined_up.py): a session
of its own, the word of the runtime, execve, and if that returns, a message that says why.

The word is the first byte of the program's path, as in waiting.py: without it there is nothing
to be executed.
"""

from __future__ import annotations

import posix

from ..config.status import INIT_NAME
from ..syscalls.constants import CLONE_PARENT, PR_SET_NAME, PR_SET_PDEATHSIG
from ..syscalls.core import cstring
from ..syscalls.flags import quote
from . import idle, lined_up
from .execute import IGNORED_BY_PYTHON, with_home
from .failure import Failure
from .message import encode, encode_within
from .talk import GO, framed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .context import Context

_MOST = 3000  # bytes of the message
_SIG_DFL = 0


def note_memory(context: Context) -> None:
    """Before a filter, and while /proc can be read: which memory is not to be copied."""
    context.values["directory"] = posix.getcwd()
    fd = posix.open("self/maps", posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=context.fds["proc"])
    context.values["maps"] = idle.read_maps(fd)


def clone_bare(context: Context) -> None:
    """The stage's last but for the limits of what it clones, which it tells of then."""
    number_at = context.values["clones"].address
    context.pid = _clone(context, number_at, context.values["rest"].own())
    context.values["cloned"] = context.pid, -1
    context.values["told"] = context.step


def _clone(context: Context, number_at: int, steps: list[Any]) -> int:
    """steps: [(number, function, arguments)] that are its own: new_session(),
    set_death_signal(), execute().
    """
    up, down = context.values["talk"].descriptors()
    number, _, (args, env) = steps[-1]
    program = context.values["program"]
    env = with_home(env, context.values["home"])
    call, hint = f"execve({quote(program)}, ...)", context.values["hint"]
    failure = Failure(number, lined_up.ERRNO_TO_COME, call, "", program, hint)
    failed = framed(encode_within(("failed", *failure.values(), []), _MOST))
    told = framed(encode(("traced", [], 0, 0)))
    here = context.values["directory"].rstrip("/")
    path = program if program.startswith("/") else f"{here}/{program}"
    words = [[cstring(one) + b"\0" for one in array] for array in (args, env)]
    size = sum(len(one) + 32 for array in words for one in array) + len(path) + len(failed)
    region = lined_up.Region(9 + len(IGNORED_BY_PYTHON), 2 * size + _MOST)
    try:
        file = region.place(b"\0" + cstring(path)[len(GO) :] + b"\0")
        argv, envp = map(region.strings, words)
        region.call("prctl", PR_SET_NAME, region.place(INIT_NAME.encode() + b"\0"))
        for _, function, arguments in steps[:-1]:
            if function.__name__ == "set_death_signal":
                region.call("prctl", PR_SET_PDEATHSIG, *arguments)
            else:
                region.call("setsid")
        region.call("read", down, file, len(GO))
        region.call("write", up, region.place(told), len(told))
        for signal in IGNORED_BY_PYTHON:
            region.call("signal", signal, _SIG_DFL)
        region.call("execve", file, argv, envp)
        region.call("writev", up, region.with_errno(failed), 3)
        region.call("_exit", 1)
        return idle.clone(region, CLONE_PARENT, number_at, context.values["maps"])
    finally:
        region.close()

"""The messenger: it brings the word of a start, and takes the answer back (answer.py).

The process that waits for its start could read exec.fifo itself.  But that is a file of the
host.  Others may be in its pid namespace by then: the rest of a pod, a hook, what `exec` has
brought.  Who may trace it gets copies of what it has open (pidfd_getfd(2)), and with
CAP_DAC_READ_SEARCH any file leads to all of its file system (open_by_handle_at(2)).  So what waits
has pipes, which lead nowhere, and a process outside has exec.fifo.  It is cloned before
anything of the container is there, and has nothing but the three ends of that.

It ends with the process that waits, at whose end the pipes hang up, or when it has taken
the answer.  Where it ends before, the process that waits hears nothing, and ends too.

It waits as long, and with as little memory, as that does: its calls are lined up (lined_up.py).
They cannot branch, so it copies what there is, or zeros: one byte as the word, and one
and then as many as an answer may have.
"""

from __future__ import annotations

import posix
import select

from ..syscalls.files import close_all_but
from ..syscalls.namespaces import CLONE_PARENT, clone3
from ..syscalls.process import set_name
from . import idle, lined_up
from .answer import ANSWER, LARGEST, START
from .door import close_the_door

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .context import Context


def clone_messenger(context: Context) -> None:
    """Leave its ends of the pipes, and no way to exec.fifo, to the process that is to wait.

    The fifo is open before it is used: who starts the container does not wait for us.
    It was passed with O_PATH, and with a right to it that nobody else has.
    """
    flags = posix.O_RDWR | posix.O_NONBLOCK | posix.O_CLOEXEC
    fifo = posix.open(f"/proc/self/fd/{context.fds['fifo']}", flags)
    context.release("fifo")
    ours = [fifo]
    try:
        for name, end in ((START, 0), (ANSWER, 1)):
            ends = posix.pipe()
            posix.set_blocking(ends[1], False)  # who might trace what waits can fill it
            context.keep(name, ends[end])
            ours.append(ends[1 - end])
        # CLONE_PARENT: a child of the runtime, as all that is cloned.
        pid, _ = clone3(CLONE_PARENT, number_at=context.values["clones"].of_messenger)
        if pid == 0:
            _carry(ours, lined_up.available() and not context.values["trace"].on)
    finally:
        for fd in ours:
            posix.close(fd)


def _carry(fds: list[int], line_up: bool) -> NoReturn:
    """In the messenger.  fds: exec.fifo, the other ends of START and of ANSWER."""
    try:
        close_the_door()
        set_name("libct:messenger")
        posix.setsid()  # what happens at the caller's terminal is no affair of ours
        close_all_but(3, fds)
        if line_up:
            _line_up(*fds)
        else:
            _copy(*fds)
    finally:
        posix._exit(0)


def _line_up(fifo: int, say: int, told: int) -> None:
    with open("/proc/self/maps", "rb") as maps:
        unneeded = idle.idle_memory(maps.read())
    region = lined_up.Region(len(unneeded) + 9, 2 * LARGEST)
    awaited = region.polled((fifo, select.POLLIN), (told, 0))  # or that it hangs up
    word, code, rest = region.place(b"\0"), region.place(b"\0"), region.place(bytes(LARGEST - 1))
    idle.give_back(region, unneeded)
    region.call("poll", awaited, 2, -1)
    for source, place, size, target in (
        (fifo, word, 1, say),
        (told, code, 1, fifo),
        (told, rest, LARGEST - 1, fifo),
    ):
        region.call("read", source, place, size)
        region.call("write", target, place, size)
    region.call("_exit", 0)
    region.go()


def _copy(fifo: int, say: int, told: int) -> None:
    """The same, where the process that waits has an interpreter, too: it may say more at a time."""
    poll = select.poll()
    poll.register(fifo, select.POLLIN)
    poll.register(told, 0)
    poll.poll()
    try:
        posix.write(say, posix.read(fifo, 1))
        left = LARGEST
        while left and (part := posix.read(told, left)):
            posix.write(fifo, part)
            left -= len(part)
    except OSError:
        pass  # it has ended, or others fill the fifo

"""A clone that shares the memory of who clones it, until it executes its command.

A fork copies the tables of a Python process's memory, and each page that either writes to
after that; execve(2) then throws it all away.  It is most of what a start takes.  So where
nothing speaks against it (plan/sharing.py), what is cloned goes on in the same memory, and its
cloner waits meanwhile (CLONE_VM, CLONE_VFORK), as with vfork(2).

    The clone has a stack of its own.  There the C library has it call a Python function, which
    performs the rest of the plan.  The interpreter takes it for one call more of its only
    thread.  The function returns, as it must: the cloner goes on in this interpreter.
    What is left needs no Python, and is lined up (lined_up.py): execve, and if that returns, a
    message that says why, and the end.

What the clone has for itself is what the kernel keeps apart: descriptors, ids, rights,
namespaces, working directory, umask, signals.  The objects of Python are its cloner's, too.  So
it gets its own context and talk, and what else it changes is put back here: the door to imports,
which is shut in the clone (door.py), and what belongs to the memory: whether it may be looked at
(PR_SET_DUMPABLE), and what of it a core dump has, which root of a container could set
(/proc/PID/coredump_filter).

A clone that is killed before its function has returned leaves an interpreter in the middle of
something.  Its cloner must not go on with that: it ends, and the next start finds another server.
So calls before and after the function write down whether Python is being run.  (If the clone had
let go of the interpreter's lock, for a system call that may block, its cloner does not get as far
as to look: nobody has the lock, and the first that it asks the interpreter is a fault.)

Never where somebody inside might trace the clone: it would hand him the server.
"""

from __future__ import annotations

import _signal
import posix
import sys
import time

from ..syscalls.c import c_int, sizeof
from ..syscalls.process import get_dumpable, set_dumpable
from ..syscalls.sharing import clone_to, has_shadow_stack, knows_machine
from . import lined_up
from .context import Context, Trace
from .failure import Failure
from .message import encode_within
from .talk import Speaker, framed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..syscalls.files import ExecArguments

_STACK = 1 << 20  # bytes, of which a start uses some dozen KiB
_MOST = 3000  # bytes of the message
_SUID_DUMPABLE = "/proc/sys/fs/suid_dumpable"  # proc_sys_fs(5)
_DUMPED = "/proc/self/coredump_filter"  # core(5)

_places: list[Place] = []  # those that nobody is in
_possible: bool | None = None
_dumped = b""  # the server's own


class Place:
    """Room for one clone at a time: its stack, and the calls that it makes there."""

    __slots__ = (
        "_calls",
        "_execute",
        "_function",
        "_kept",
        "_leave",
        "_paper",
        "_runs",
        "_tell",
        "_way",
    )

    def __init__(self) -> None:
        region = lined_up.Region(6, _STACK + lined_up.WAY + 16)
        self._way = region.take(lined_up.WAY) + lined_up.WAY // 2
        runs = region.take(sizeof(c_int))
        self._runs = c_int.from_address(runs)
        begins = region.call("memset", runs, 1, 1)
        self._function = region.call(lined_up.PYTHON, stack=_STACK)
        returned = region.call("memset", runs, 0, 1)
        self._execute = region.call("_exit", 1)
        self._tell = region.call("writev")
        self._leave = region.call("_exit", 1)
        self._calls = begins, self._function, returned, self._execute
        self._kept: object = None
        self._paper = lined_up.Region(0, 2 * _MOST)

    def is_whole(self) -> bool:
        """Whether no clone has left the interpreter in the middle of something."""
        return self._runs.value == 0

    def clone(self, flags: int, cgroup: int, number_at: int, function: Callable[[], None]) -> int:
        """As clone_to(); function is called in the clone, and raises nothing."""
        self._function.args = (id(function),)
        self._execute.name, self._execute.args = "_exit", (1,)  # unless more comes of it
        for call in self._calls:
            call.make_ready()
        at = lined_up.setcontext_at
        return clone_to(self._calls[0].address, at, self._way, flags, number_at, cgroup)

    def line_up(self, program: ExecArguments, up: int, failure: Failure) -> None:
        """By the clone: have it execute the program when its function has returned.

        up: the descriptor by which it tells of the failure, if that returns.
        """
        failure.errno = lined_up.ERRNO_TO_COME
        text = framed(encode_within(("failed", *failure.values(), []), _MOST))
        self._kept = program
        self._paper.rewind()
        path = lined_up.address_of(program.path)
        self._execute.name = "execve"
        self._execute.args = path, program.argv.value or 0, program.envp.value or 0
        self._tell.args = up, self._paper.with_errno(text), 3
        for call in (self._execute, self._tell, self._leave):
            call.make_ready()


def possible() -> bool:
    """Whether this interpreter, C library and kernel can do it."""
    global _possible
    if _possible is None:
        _possible = (
            knows_machine
            and lined_up.available()
            and sys.version_info < (3, 14)  # which knows the bounds of its stack
            and "t" not in sys.abiflags  # free-threaded: there is no lock that its thread has
            and not has_shadow_stack()
            and not _is_shown_by_change()
            and not _has_other_time()
            and _can_keep_dumped()
        )
        if _possible:
            lined_up.end_on(_signal.SIGSEGV)  # as the docstring has it
    return _possible


def _is_shown_by_change() -> bool:
    """Whether a change of ids makes memory visible for others, be it for a moment."""
    return _read(_SUID_DUMPABLE).strip() in (b"1", b"")


def _has_other_time() -> bool:
    """Whether what is forked is in another time namespace: who shares memory would stay in ours."""
    try:
        own, others = (
            posix.readlink(f"/proc/self/ns/time{more}") for more in ("", "_for_children")
        )
    except OSError:
        return False  # a kernel without them, or no /proc to be asked
    return own != others


def _can_keep_dumped() -> bool:
    global _dumped
    text = _read(_DUMPED).strip()
    _dumped = b"0x" + text if text else b""
    try:
        _keep_dumped()
    except OSError:
        return False  # /proc is read-only, say
    return True


def _keep_dumped() -> None:
    """Who has had such a process in a container may have changed it."""
    if _dumped:  # not every kernel has it
        fd = posix.open(_DUMPED, posix.O_WRONLY | posix.O_CLOEXEC)
        try:
            posix.write(fd, _dumped)
        finally:
            posix.close(fd)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def clone(
    context: Context, flags: int, cgroup: int, number_at: int, settle: Callable[[Context], None]
) -> int:
    """Clone what performs the rest of the plan; return its number once it has executed or ended.

    settle: what it does first, with the context that is its own.
    number_at, cgroup: as of clone_to(), which the errors are of.
    """
    place = _places.pop() if _places else Place()
    talk, trace = context.values["talk"], context.values["trace"]
    rest, number, started = context.values["rest"], context.step, trace.current[1]
    child = Context(dict(context.fds))
    child.values = {**context.values, "place": place}

    def function() -> None:
        own, records = Speaker(*talk.descriptors()), Trace(trace.on)
        try:
            if trace.on:
                done = number, started, time.time_ns() - started, "ok"
                records.records = [*trace.records, done]
            settle(child)
            own.tell(("cloned", number))
            rest(child, own, records)
        except Failure as failure:
            try:
                own.tell(("failed", *failure.values(), records.take()))
            except OSError:
                pass  # it has ended
        except (EOFError, OSError):
            pass  # the runtime is gone, and with it who would hear of it
        except BaseException:
            posix._exit(1)  # a mistake of ours: the cloner does not go on either

    finders, dumpable = sys.meta_path[:], get_dumpable()
    try:
        return place.clone(flags, cgroup, number_at, function)
    finally:
        if not place.is_whole():
            posix._exit(70)  # EX_SOFTWARE: nothing here is to be relied on, no error either
        sys.meta_path[:] = finders
        _places.append(place)
        # Not what our ids are now says it: those of a stage may be a user's of the host.
        set_dumpable(dumpable == 1)
        if "requests" in context.values:  # we are the server, and see the host's /proc
            _keep_dumped()

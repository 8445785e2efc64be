"""Sources of bind mounts that the container's root may not reach, or map the ids of.

A process in a user namespace has no rights over directories of users that are
not mapped there, so a source below one that is closed to others has to be
opened by somebody with the host's rights.  That has to happen in the
container's mount namespace: a copy made in the host's would come without the
locks that keep the container from making what is read-only writable, and from
uncovering what is below a mount (mount_namespaces(7), Restrictions).

So a lender is cloned before the first process is.  When that is there, the
lender enters its mount namespace, a copy of the host's at that time, opens the
sources, sends them, and ends.  Sources that earlier mounts of the container may make
it opens one by one, when the first process comes to them.
"""

from __future__ import annotations

import posix

from ..errors import StepProblem, advise
from ..rootfs.binds import clone_tree
from ..rootfs.idmapped import mapped_tree
from ..syscalls.namespaces import CLONE_NEWNS, clone3, setns
from ..syscalls.process import pidfd_open, set_name
from .channel import Channel, close_all
from .door import close_the_door

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .context import Context

    Lent = tuple[str, str, bool, bool, tuple[Any, ...]]

_SIGCHLD = 17  # on every architecture of libct; signal(7)
_AT_ONCE = 100  # sources in a message: descriptors that fit, and what it holds is small


class Lender:
    """The process that opens sources, for who has cloned it and for the first process."""

    __slots__ = ("_begun", "_channel", "_late", "_lent", "_over", "_pid")

    def __init__(self, pid: int, channel: Channel, late: list[str]) -> None:
        self._pid, self._channel, self._begun, self._over = pid, channel, False, False
        self._late = late  # the slots of what it opens when it is asked to
        # By slot: a descriptor, or (errno, text, path, hint).
        self._lent: dict[str, int | tuple[int, str, str, str]] = {}

    def lend_to(self, pid: int, pidfd: int) -> None:
        """The cloner's: have the process just cloned served; dismiss() is to follow."""
        try:
            self._channel.send(("open", pid), [pidfd])
        except ConnectionError:
            pass  # it has been killed, which take() finds

    def lend_here(self) -> None:
        """The cloner's, for itself: it is in the mount namespace that is to have the sources."""
        pidfd = pidfd_open(posix.getpid())
        try:
            self._channel.send(("open", posix.getpid()), [pidfd])
            while not self._late and self._receive():
                pass
        except ConnectionError:
            pass  # it has been killed, which take() finds
        finally:
            posix.close(pidfd)
        if not self._late:
            self.dismiss()
            self._over = True

    def dismiss(self) -> None:
        """Wait for its end, which comes when it is through, or nobody is left to lend to."""
        if self._pid:
            self._channel.close()
            posix.waitpid(self._pid, 0)
            self._pid = 0

    def take(self, slot: str) -> int:
        """The first process's: the descriptor of a source, its own from here on.

        -1 where the lender has ended: root without CAP_SYS_ADMIN or CAP_SYS_CHROOT
        cannot enter the namespace.
        """
        if slot in self._late:
            # The cloner is to be heard first, whose message may not have been sent yet.
            if not self._begun and not self._receive():
                return -1
            try:
                self._channel.send(("open",))
            except ConnectionError:
                return -1
        while slot not in self._lent:
            if self._over or not self._receive():
                return -1
        found = self._lent.pop(slot)
        if isinstance(found, tuple):
            *what, hint = found
            error = OSError(*what)
            advise(error, hint)
            raise error
        return found

    def _receive(self) -> bool:
        """Take some answers; False when there will be no more."""
        try:
            (answers,), fds = self._channel.receive()
        except (EOFError, ConnectionError):
            return False
        self._begun = True
        for name, failure in answers:
            self._lent[name] = failure or fds.pop(0)
        return True


def lend_sources(context: Context, sources: tuple[Lent, ...]) -> None:
    """Clone the lender, with the rights that this process still has.

    sources: (slot, path, recursive, late, mapping) each; the mapping is () or the
        last arguments of mapped_tree().  Those that are late are taken in this order.
    """
    ours, theirs = Channel.pair()
    pid, _ = clone3(0, _SIGCHLD)
    if pid == 0:
        try:
            close_the_door()
            set_name("libct:lender")
            ours.close()
            _lend(theirs, sources)
        finally:
            posix._exit(0)
    theirs.close()
    context.values["lender"] = Lender(pid, ours, [slot for slot, _, _, late, _ in sources if late])


def _lend(channel: Channel, sources: tuple[Lent, ...]) -> None:
    (_, pid), (pidfd,) = channel.receive()  # EOFError: there is no first process
    # setns(2) would leave us at the namespace's root, where a runtime in a
    # chroot is not.
    root = posix.open(f"/proc/{pid}/root", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    setns(pidfd, CLONE_NEWNS)  # ESRCH, if that was a later process of its number
    posix.fchdir(root)
    posix.chroot(".")
    early = [source for source in sources if not source[3]]
    # One answer at least: it says that who asks for what is late is heard.
    for first in range(0, max(len(early), 1), _AT_ONCE):
        _open(channel, early[first : first + _AT_ONCE])
    for source in sources:
        if source[3]:
            channel.receive()  # EOFError: nobody needs it any more
            _open(channel, [source])


def _open(channel: Channel, sources: list[Lent]) -> None:
    answers: list[tuple[str, tuple[int, str, str, str] | None]] = []
    fds: list[int] = []
    for slot, source, recursive, _, mapping in sources:
        try:
            if mapping:
                fds.append(mapped_tree(source, recursive, *mapping))
            else:
                fds.append(clone_tree(source, recursive=recursive))
            answers.append((slot, None))
        except OSError as error:
            path = error.filename or source
            hint = getattr(error, "hint", "")
            answers.append((slot, (error.errno or 0, error.strerror or "", path, hint)))
    channel.send((answers,), fds)
    close_all(fds)


def lend_here(context: Context) -> None:
    """By the stage, which has all of them at once then, and clones nobody that is lent to."""
    context.values["lender"].lend_here()


def take_source(context: Context, slot: str, source: str, recursive: bool, mapped: int) -> None:
    """Keep what the lender has opened under slot, or else open it as far as we may."""
    lent = context.values["lender"].take(slot)
    if mapped and lent < 0:
        raise StepProblem("the process that opens it has ended: it needs CAP_SYS_ADMIN")
    context.keep(slot, lent if lent >= 0 else clone_tree(source, recursive=recursive))

"""The bootstrap server: a fresh interpreter that clones containers' processes.

Started by servers.py with the socket of requests as descriptor 3, nothing else
open but /dev/null as 0, 1 and 2.  It loads what performs the steps of a request
before it clones; what is cloned imports nothing (namespaces.py), for an import
inside a container would run the container's files with the host's rights
(docs/architecture.md, invariant 1).  The server itself never enters anything.  It ends when its
owner does, or closes the socket.
"""

from __future__ import annotations

import _signal
import gc
import posix

from ..syscalls.files import close_range
from ..syscalls.process import default_signal, set_dumpable, set_name
from .answer import ANSWER, FAILED, failed
from .channel import REQUESTS, Channel
from .clones import SERVER, Page
from .context import Context, Trace
from .failure import Failure
from .performer import carry_on, load, performers
from .talk import Speaker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What most processes of containers need; what only a first one does, or a further
# one, goes after.
_USUAL = (
    "bootstrap.namespaces",
    "attributes.procfs",
    "attributes.limits",
    "security.keyring",
    "bootstrap.descriptors",
    "security.users",
    "security.capabilities",
    "bootstrap.execute",
)
_USUAL_FIRST = (
    "network.ready",
    "rootfs.root",
    "rootfs.mounts",
    "rootfs.devices",
    "rootfs.masks",
    "rootfs.cgroup_mounts",
    "attributes.uts",
)
_USUAL_FURTHER = ("rootfs.chroot",)
_READY = "network.ready"
_NETWORK = f"{_READY}.get_network"  # the performer, by its name
_PAUSE = 0.0015  # seconds
_HIGHEST = 0xFFFFFFFF  # ~0U, the end of close_range(2)
# The C library's own signals, below what it calls SIGRTMIN, which a spawned process may
# ignore: 32 and 33 with glibc, with musl 34, too.  And the one that Python has a handler for.
_NOT_DEFAULT = (*range(32, _signal.SIGRTMIN), _signal.SIGINT)


def main(*, further: bool = False) -> None:
    """Serve until the owner goes; never returns.

    further: what comes is a further process in a container, and no first one.
    """
    try:
        _settle()
        _serve(Channel.of(REQUESTS), further=further)
    except EOFError:
        posix._exit(0)
    finally:
        posix._exit(70)  # EX_SOFTWARE: whatever it was, no host code runs on the way out


def _settle() -> None:
    # What the owner left inheritable (a shell's descriptors) is not ours.
    close_range(REQUESTS + 1, _HIGHEST)
    posix.set_inheritable(REQUESTS, False)
    set_name("libct:server")
    for number in _NOT_DEFAULT:
        default_signal(number)
    if posix.geteuid() == 0:
        # An ordinary user's maps are written through /proc/PID, whose files
        # belong to root while a process is not dumpable; there, the first
        # process closes itself once it is mapped (namespaces.py).
        set_dumpable(False)
    # Text is decoded with these two; any other codec would be an import.
    b"".decode("utf-8"), b"".decode("ascii")
    posix.chdir("/")  # not to hold the owner's directory


def _serve(requests: Channel, *, further: bool) -> None:
    kept: dict[str, Any] = {}  # from one request to the next
    known: dict[str, Any] = {}  # performers by their names
    # While the first request is being prepared: what most containers need.
    for module in (*_USUAL, *(_USUAL_FURTHER if further else _USUAL_FIRST)):
        if requests.waiting():
            break
        load(module)
    # Nothing of that is ever collected, so its pages stay shared after a fork; the
    # collector has been off since the start (spawning.py).
    gc.freeze()
    while True:
        # The command that has just been started has the processors first.
        if "networks" in kept and not requests.waiting(_PAUSE):
            kept["networks"].refill()
        (_, segments, trace), _ = requests.receive()
        prepared = _prepare(segments, known)
        wanted = any(step[1] == _NETWORK for _, steps in segments for step in steps)
        if wanted and not requests.waiting():
            load(_READY).ready(kept).expect()  # while the runtime makes groups, say
        (word, *names), fds = requests.receive()
        if word == "forget":
            requests.say_done()
            continue
        talk = Speaker(*fds[:2])
        context = Context(dict(zip(*names, fds[2:])))
        clones = context.values["clones"] = Page(context.fds["clones"], SERVER)
        context.values["requests"], context.values["kept"] = requests, kept
        perform_request(prepared, context, talk, Trace(trace))
        clones.close()
        talk.close()
        for fd in context.fds.values():
            posix.close(fd)
        requests.say_done()


def _prepare(segments: list[Any], known: dict[str, Any]) -> list[Any] | Failure:
    try:
        return [(process, performers(steps, known)) for process, steps in segments]
    except Failure as failure:
        return failure


def perform_request(
    prepared: list[Any] | Failure, context: Context, talk: Speaker, trace: Trace
) -> None:
    """Perform the server's part; in what it clones, the rest, which never returns here."""
    try:
        try:
            if isinstance(prepared, Failure):
                raise prepared
            carry_on(prepared, context, talk, trace)
        except Failure as failure:
            report(failure, context, talk, trace)
        except (EOFError, OSError):
            pass  # the runtime is gone, and with it who would hear of it
    finally:
        if context.values.get("is clone"):
            posix._exit(1)  # the stage, done; or a first process that has failed


def report(failure: Failure, context: Context, talk: Speaker, trace: Trace) -> None:
    """Tell who listens: the runtime, or once that has created the container, who starts it."""
    try:
        if "released" in context.values:
            word = b"" if "executes" in context.values else FAILED
            posix.write(context.fds[ANSWER], word + failed(failure))
        else:
            talk.tell(("failed", *failure.values(), trace.take()))
    except OSError:
        pass  # it has ended

"""The end of containers: their processes killed and waited for, and all else removed."""

from __future__ import annotations

import _signal
import posix
import time

from ..config.status import CREATED, STOPPED
from ..errors import ContainerDamaged, ContainerNotFound, ContainerNotRunning, Error
from ..syscalls import pidfds
from . import rules as lifecycle
from .container import Container, reap, wait_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .process import Child
    from .state import Record

_PATIENCE = 10_000  # milliseconds that a process may take to end by SIGKILL


def destroy(container: Container, *, force: bool) -> None:
    """Container.destroy()."""
    try:
        lock = container._locked()
    except ContainerNotFound:
        if force:
            return
        raise
    with lock:
        record = _doomed(container, force=force)
        if record is None:
            return
        status = container._live_status(record)
        if not force and status != CREATED:
            lifecycle.require("destroy", status, container.id)
        if container._started is not None:
            container._started.close()
            container._started = None
        children = container._children()
        for child in children:
            child.on_exit = None  # which would want our lock
        if record.hooks and container._directory.hook() is not None:
            from .hooks import end_hook

            end_hook(container._directory)
        if status != STOPPED:
            _kill(container)
        manager = container.manager
        if manager is not None and (force or not record.own_pids):
            manager.kill()
        _kill_children(container, children)
        if manager is not None:
            manager.destroy()
        container._directory.remove()
        container._abandon()
    if "poststop" in record.hooks:
        from .hooks import run_poststop

        run_poststop(container)


def _doomed(container: Container, *, force: bool) -> Record | None:
    """The record of what is to be removed; None when there is nothing left of it."""
    try:
        return container._refresh()
    except ContainerDamaged:
        if not force:
            raise
    except ContainerNotFound:
        if container._directory.has_record():  # of another container, which has the id now
            if force:
                return None
            raise
    return container._record  # removed halfway, or damaged: what we know of it has to do


def stop(container: Container) -> None:
    """End it, after a start that was not to be.

    Without the lock, which recording its exit status takes.
    """
    _kill(container)
    manager = container.manager
    if manager is not None and not container._record.own_pids:
        manager.kill()


def _kill(container: Container) -> None:
    """End the first process and wait until it is gone."""
    try:
        pidfd = container._open_init()
    except ContainerNotRunning:
        return  # it has ended by itself just now
    try:
        try:
            pidfds.send(pidfd, _signal.SIGKILL)
        except ProcessLookupError:
            return
        manager = container.manager
        if manager is not None and manager.frozen():
            manager.thaw()
        for _ in range(_PATIENCE):
            if wait_for(pidfd, 1):
                return
            # Process 1 of a pid namespace ends when all others in it have
            # been waited for.
            reap(container._children())
        raise Error(f"container {container.id!r}: its process does not end by SIGKILL")
    finally:
        posix.close(pidfd)


def _kill_children(container: Container, children: list[Child]) -> None:
    """End those that are ours, and wait for them; how they end, their Processes still tell."""
    for child in children:
        try:
            child.signal(_signal.SIGKILL)
        except ProcessLookupError:
            continue  # it has ended
    for _ in range(_PATIENCE):
        reap(children)
        if not children:
            return
        time.sleep(0.001)
    raise Error(f"container {container.id!r}: its processes do not end by SIGKILL")

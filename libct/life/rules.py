"""The rules of a container's life, in one table (runtime.md, Lifecycle; libcontainer's states)."""

from __future__ import annotations

from ..config.status import CREATED, CREATING, PAUSED, RUNNING, STOPPED
from ..errors import (
    ContainerNotFound,
    ContainerNotPaused,
    ContainerNotRunning,
    ContainerPaused,
    ContainerRunning,
)

# operation: (the statuses it is allowed in, what it is called in messages)
_ALLOWED = {
    "start": ((STOPPED,), "create a process in"),
    "exec": ((CREATED,), "start"),
    "enter": ((CREATED, RUNNING), "execute a process in"),
    "enter paused": ((CREATED, RUNNING, PAUSED), "execute a process in"),
    "signal": ((CREATED, RUNNING, PAUSED), "signal"),
    "pause": ((CREATED, RUNNING), "pause"),
    "resume": ((PAUSED,), "resume"),
    "show": ((CREATED, RUNNING, PAUSED, STOPPED), "show the state of"),
    "watch": ((CREATED, RUNNING, PAUSED), "watch"),
    "mount": ((CREATED, RUNNING, PAUSED), "change the mounts of"),
    "checkpoint": ((RUNNING,), "checkpoint"),
    "set": ((CREATED, RUNNING, PAUSED), "update"),
    "destroy": ((STOPPED,), "delete"),
}
_ENTER = ("enter", "enter paused")


def require(operation: str, status: str, container_id: str) -> None:
    """Raise the error that fits when operation is not allowed in this status.

    The texts hold runc's words, which container engines and scripts look for.
    """
    allowed, verb = _ALLOWED[operation]
    if status in allowed:
        return
    start = f"cannot {verb} container {container_id!r}"
    if operation == "exec" and status in (RUNNING, PAUSED):
        text = f"container {container_id!r} is {status}"
        raise ContainerRunning(f"cannot start an already running container: {text}, not created")
    if operation == "exec" and status == STOPPED:
        text = f"container not running: container {container_id!r} has stopped"
        raise ContainerNotRunning(f"cannot start a container that has stopped: {text}")
    if operation == "pause" and status == PAUSED:
        raise ContainerPaused(f"{start}: container not running: it is paused already")
    if operation == "resume":
        raise ContainerNotPaused(f"{start}: container not paused: it is {status}")
    if status == STOPPED and operation in _ENTER:
        text = f"container not running: container {container_id!r} has stopped"
        raise ContainerNotRunning(f"cannot exec in a stopped container: {text}")
    if status == STOPPED:
        raise ContainerNotRunning(f"{start}: container not running: it has stopped")
    if status == CREATING:
        # As runc has it, whose state appears when the container is created.
        raise ContainerNotFound(f"{start}: container does not exist yet: it is being created")
    if operation == "destroy":
        kind = ContainerPaused if status == PAUSED else ContainerRunning
        raise kind(f"{start} that is not stopped: {status} (stop it first, or use force)")
    if status == PAUSED and operation in _ENTER:
        text = f"container {container_id!r} is paused: resume it first"
        rule = "cannot exec in a paused container (use --ignore-paused to override)"
        raise ContainerPaused(f"{rule}: {text}")
    if status == CREATED:
        raise ContainerNotRunning(f"{start}: container not running: it has not been started")
    if status == PAUSED:
        raise ContainerPaused(f"{start}: it is paused: resume it first")
    raise ContainerRunning(f"{start}: the container already has an init process")

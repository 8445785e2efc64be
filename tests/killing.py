"""Callers that are killed, and what is there after them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libct
from libct.life.directory import Directory
from libct.life.ending import remove_remains

from .containers import state_directory

if TYPE_CHECKING:
    from collections.abc import Callable


def orphans(patience: float = 10) -> list[str]:
    """Those that outlive the caller, whom we are the subreaper of."""
    deadline = time.monotonic() + patience
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return []
        if time.monotonic() > deadline:
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in children]
        time.sleep(0.002)


def kill_at(place: Any, name: str, when: str, turn: int = 1) -> None:
    """Have this process killed before, or after, that call of a function."""
    function = getattr(place, name)
    calls = 0

    def wrapped(*args: Any, **values: Any) -> Any:
        nonlocal calls
        calls += 1
        if when == "before" and calls == turn:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*args, **values)
        if when == "after" and calls == turn:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(place, name, wrapped)


def as_caller(body: Callable[[], None]) -> None:
    """Run body in a child that is killed by it."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status), status
    assert os.WTERMSIG(status) == signal.SIGKILL


def beside(body: Callable[[], None]) -> None:
    """Run body in a child, and do the duty of a subreaper meanwhile."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
            os._exit(0)
        finally:
            os._exit(1)
    found = (0, 0)
    while found[0] != pid:
        found = os.waitpid(-1, 0)
    assert found[1] == 0


def reap() -> bool:
    """Wait for what has ended; always true."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return True


def groups(name: str) -> list[str]:
    return [
        path
        for hierarchy in Path("/sys/fs/cgroup").iterdir()
        for path in (str(hierarchy), *map(str, hierarchy.glob("*")))
        if name in path
    ]


def remove(name: str) -> None:
    """libct delete --force."""
    try:
        libct.load(state_directory(), name).destroy(force=True)
    except libct.ContainerNotFound:
        remove_remains(Directory(state_directory(), name))

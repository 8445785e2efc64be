"""The last steps: the command is found, the start awaited, and the command executed."""

from __future__ import annotations

from .calls import quote
from .step import Performers, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..bootstrap import execute as executing, messenger, waiting
else:
    executing = Performers("bootstrap.execute")
    messenger = Performers("bootstrap.messenger")
    waiting = Performers("bootstrap.waiting")


def last_of_each(env: Sequence[str]) -> tuple[str, ...]:
    """The variables, each once: the C library would take the first of a name."""
    found: dict[str, str] = {}
    for one in env:
        name = one.partition("=")[0]
        found.pop(name, None)
        found[name] = one
    return tuple(found.values())


@operation(executing.change_directory, "enter the working directory {0}")
def change_directory(path: str) -> list[str]:
    return [f'chdir("{path}")']


@operation(executing.verify_directory, "check that the working directory {0} is inside the rootfs")
def verify_directory(path: str) -> list[str]:
    return ["getcwd()"]


@operation(executing.set_umask, "set the umask to {0:04o}")
def set_umask(umask: int) -> list[str]:
    return [f"umask({umask:#03o})"]


@operation(executing.find_command, "find the command {0}")
def find_command(name: str, search: str) -> list[str]:
    return []


@operation(messenger.clone_messenger, "clone the messenger, which waits for exec.fifo")
def clone_messenger() -> list[str]:
    return [
        'openat("/proc/self/fd/", O_RDWR|O_NONBLOCK|O_CLOEXEC)',
        "clone3({flags=CLONE_PARENT|CLONE_PARENT_SETTID, exit_signal=0})",
    ]


@operation(waiting.prepare_wait, "prepare the wait for the start")
def prepare_wait(more: bool, shown: bool) -> list[str]:
    return ["prctl(PR_SET_DUMPABLE, 1)"] if shown and not more else []


@operation(waiting.await_start, "wait for the start")
def await_start() -> list[str]:
    return ["read()"]


@operation(executing.execute, "execute {0[0]}")
def execute(args: tuple[str, ...], env: tuple[str, ...]) -> list[str]:
    return [f"execve([{', '.join(quote(one) for one in args[:3])}])"]

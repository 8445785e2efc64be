"""The reaper: process 1 of the pid namespace of a container, where its command is not."""

from __future__ import annotations

from ..syscalls.constants import CLONE_NEWPID, CLONE_PARENT, CLONE_PARENT_SETTID
from .calls import clone_names
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap import reaper
else:
    reaper = Performers("bootstrap.reaper")

# All that it does under its filter: to hear that the command is there, to wait for its end,
# also once it has been stopped and continued, and to end.  The interpreter, where it is one that
# does that, may ask for memory.
_CALLS = ("read", "close", "pidfd_open", "poll", "ppoll", "restart_syscall")
_END = ("exit", "exit_group", "rt_sigprocmask")
_MEMORY = ("madvise", "mmap", "munmap", "brk")


def reaper_steps(*, back: bool) -> list[Step]:
    """Right before the first process is cloned, which is to be in its pid namespace.

    back: who clones the two goes back into its own after that.
    """
    from ..config.seccomp import Seccomp, SeccompRule
    from ..seccomp.architectures import here
    from .seccomp import compiled

    try:
        machine = here()
    except ValueError:
        return [clone_reaper("", back, why="reaper")]  # it has no filter there
    allowed = SeccompRule([*_CALLS, *_END, *_MEMORY], "SCMP_ACT_ALLOW")
    profile = Seccomp("SCMP_ACT_KILL_PROCESS", syscalls=[allowed])
    program = compiled(profile, machine).hex()
    return [clone_reaper(program, back, why="reaper")]


@operation(reaper.clone_reaper, "clone the reaper, process 1 of a new pid namespace")
def clone_reaper(program: str, back: bool) -> list[str]:
    flags = clone_names(CLONE_PARENT | CLONE_PARENT_SETTID)
    return [
        *(['openat("/proc/self/ns/pid", O_RDONLY|O_CLOEXEC)'] if back else []),
        f"unshare({clone_names(CLONE_NEWPID)})",
        f"clone({flags})",
    ]


@operation(reaper.check_reaper, "check that the reaper has no rights left")
def check_reaper(filtered: bool) -> list[str]:
    return ['openat("/status", O_RDONLY|O_CLOEXEC)', "read()"]

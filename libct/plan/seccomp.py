"""The filter of system calls: compiled for the plan, loaded by who becomes the command.

With no_new_privs, which the kernel asks for of who has no CAP_SYS_ADMIN, the
filter is the last that a process is given: it has its user and capabilities by
then.  What it does after that and before the command are few calls, with which
it hears from the runtime, waits for the start and executes: a filter has to
allow them, or the start fails.
"""

from __future__ import annotations

import sys

from ..errors import ConfigError, Finding
from ..seccomp.actions import load_flags
from ..seccomp.architectures import native
from ..seccomp.compiler import compile_profile
from ..seccomp.instructions import encode
from ..syscalls.core import machine
from ..syscalls.flags import SECCOMP_FILTER_FLAG_NAMES, names
from .step import Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.seccomp import Seccomp

PLACE = "linux.seccomp"

# The calls that are made under the filter, up to execve, as x86_64 names them; any of them may
# besides ask for memory and give it back (mmap, munmap, brk).  No others are made where Python
# itself waits for the start, as with musl.
AFTER = ("read", "write", "rt_sigaction", "execve")
# Where the C library's contexts wait (bootstrap/waiting.py).
AFTER_WAIT = ("mmap", "rt_sigprocmask", "madvise", "prctl", "writev")
# For startContainer hooks, by the process and what it forks: glibc by clone, musl by fork.
AFTER_HOOKS = (
    *("getpid", "memfd_create", "lseek", "pipe2", "close", "pidfd_open", "poll", "waitid", "ioctl"),
    *("clone", "fork", "rt_sigprocmask", "gettid", "set_robust_list"),
    *("prctl", "getppid", "setsid", "dup2", "dup3", "close_range"),
)


def filter_steps(seccomp: Seccomp) -> list[Step]:
    """The filter of a process.  Raises ConfigError where the profile cannot be compiled."""
    try:
        architecture = native(machine(), "<" if sys.byteorder == "little" else ">")
        program = encode(compile_profile(seccomp, architecture))
        flags = load_flags(seccomp)
    except ValueError as error:
        raise ConfigError([Finding(PLACE, str(error))]) from error
    return [load_filter(program.hex(), flags, why=PLACE)]


@operation("seccomp.load", "filter system calls")
def load_filter(program: str, flags: int) -> list[str]:
    text = f"{names(flags, SECCOMP_FILTER_FLAG_NAMES)}, {{len={len(program) // 16}}}"
    return [f"seccomp(SECCOMP_SET_MODE_FILTER, {text})"]

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

# The calls that are made under the filter, up to execve; and those of one that waits for its
# start, besides.  The interpreter may ask for memory: mmap, munmap, brk.
AFTER = ("read", "write", "rt_sigaction", "execve")
AFTER_WAIT = ("mmap", "rt_sigprocmask", "madvise", "prctl", "writev")


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

"""System call filter of a container; names are the runtime-spec's (config-linux.md, Seccomp)."""

from __future__ import annotations

from .record import Record


class SeccompArg(Record):
    """A condition on argument index (0 to 5), an unsigned 64-bit number.

    SCMP_CMP_MASKED_EQ: value is the mask, value_two what the rest must equal.
    """

    index: int
    value: int
    value_two: int = 0
    op: str = "SCMP_CMP_EQ"


class SeccompRule(Record):
    """What to do with the named system calls when all conditions hold."""

    names: list[str]
    action: str
    errno_ret: int | None = None  # None: EPERM, for SCMP_ACT_ERRNO and SCMP_ACT_TRACE
    args: list[SeccompArg] = []


class Seccomp(Record):
    default_action: str
    default_errno_ret: int | None = None
    architectures: list[str] = []  # besides the native one
    flags: list[str] | None = None  # None: SPEC_ALLOW where the kernel has it
    syscalls: list[SeccompRule] = []
    listener_path: str = ""  # AF_UNIX socket that gets the descriptor of SCMP_ACT_NOTIFY
    listener_metadata: str = ""
    strict: bool = False  # a system call that no architecture has is an error
    program: str = ""  # struct sock_filter, in base64: loaded instead of one for the rules

"""Numbers of seccomp(2)."""

from __future__ import annotations

from .flags import Flags

# include/uapi/linux/seccomp.h: seccomp(2)
SECCOMP_FILTER_FLAG_TSYNC = 0x1
SECCOMP_FILTER_FLAG_LOG = 0x2
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 0x4
SECCOMP_FILTER_FLAG_NEW_LISTENER = 0x8
SECCOMP_FILTER_FLAG_TSYNC_ESRCH = 0x10  # Linux 5.7
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20  # Linux 5.19


SECCOMP_FILTER_FLAG_NAMES = Flags("SECCOMP_FILTER_FLAG_", values=globals())

"""Options that several commands have; a command without any of them does not load these."""

from __future__ import annotations

from .options import Option

BUNDLE = Option("-b, --bundle", "directory that holds config.json", "DIR", default=".")
CONSOLE_SOCKET = Option(
    "--console-socket", "send the terminal to this AF_UNIX socket", "PATH", default=""
)
PIDFD_SOCKET = Option(
    "--pidfd-socket", "send a pidfd of the process to this AF_UNIX socket", "PATH", default=""
)
PID_FILE = Option("--pid-file", "write the process id to this file", "FILE", default="")
PRESERVE_FDS = Option(
    "--preserve-fds", "also pass N file descriptors, starting at 3", "N", default=0
)
NO_PIVOT = Option("--no-pivot", "move the root instead of pivot_root, for a rootfs on an initramfs")
NO_SUBREAPER = Option("--no-subreaper", "do not adopt the container's orphaned processes")
DETACH = Option("-d, --detach", "do not wait for the end of the process")
SECCOMP_LEARN = Option(
    "--seccomp-learn",
    "run without a filter, and write a profile of the system calls made",
    "FILE",
    default="",
    filled=True,
)
TRACE = Option(
    "--trace",
    "write each step and how long it took, as JSON lines; as a page if .html",
    "FILE",
    default="",
    filled=True,
)
TRACE_FORMAT = Option(
    "--format", "form of the trace; chrome is for Perfetto", "lines|html|chrome", default=""
)

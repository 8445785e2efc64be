"""The tables of the commands that are called less often; see commands.py."""

from __future__ import annotations

from .options import Command, Option
from .shared_options import (
    BUNDLE,
    CONSOLE_SOCKET,
    DETACH,
    NO_PIVOT,
    NO_SUBREAPER,
    PID_FILE,
    SECCOMP_LEARN,
    TRACE,
    TRACE_FORMAT,
)

_JSON = Option("--json", "as JSON")


def update() -> Command:
    def option(name: str, text: str, metavar: str) -> Option:
        return Option(name, text, metavar, default="")

    return Command(
        "update",
        "ID",
        "Change the limits of a container."
        "  Sizes are in bytes, or have a unit: 512k, 100M, 1.5G; -1 is no limit."
        "  What is not given stays as it is; device rules in a file replace all earlier ones.",
        "update:main",
        [
            option(
                "-r, --resources",
                "read linux.resources of config.json from this file (- is stdin)",
                "FILE",
            ),
            option("--blkio-weight", "block I/O weight, 10 to 1000", "WEIGHT"),
            option("--cpu-period", "period of the CPU quota", "MICROSECONDS"),
            option("--cpu-quota", "CPU time allowed in each period", "MICROSECONDS"),
            option("--cpu-burst", "unused CPU time that may be saved up", "MICROSECONDS"),
            option("--cpu-share", "share of CPU time relative to others, 2 to 262144", "SHARES"),
            option("--cpu-rt-period", "period of real-time scheduling", "MICROSECONDS"),
            option("--cpu-rt-runtime", "real-time CPU time allowed in each period", "MICROSECONDS"),
            option("--cpuset-cpus", "CPUs to run on (for example 0-3,8)", "LIST"),
            option("--cpuset-mems", "memory nodes to use", "LIST"),
            option("--memory", "memory", "SIZE"),
            option("--cpu-idle", "run only when no other group wants the CPU: 1 or 0", "NUMBER"),
            option(
                "--memory-reservation",
                "memory kept for the container, or with cgroup v1 a soft limit",
                "SIZE",
            ),
            option("--memory-swap", "limit of memory and swap together", "SIZE"),
            option(
                "--memory-swappiness", "how eagerly to swap, 0 to 100, with cgroup v1", "NUMBER"
            ),
            option(
                "--memory-oom-group",
                "when memory runs out, kill all processes (1) or one (0)",
                "NUMBER",
            ),
            option("--pids-limit", "number of processes", "NUMBER"),
            Option(
                "--unified",
                "write a file of cgroup v2 (as memory.high=1000000)",
                "FILE=VALUE",
                repeat=True,
            ),
            option("--l3-cache-schema", "Intel RDT: share of the L3 cache", "SCHEMA"),
            option("--mem-bw-schema", "Intel RDT: share of memory bandwidth", "SCHEMA"),
            Option("--kernel-memory", "ignored by the kernel", "SIZE", default="", hidden=True),
            Option("--kernel-memory-tcp", "ignored by the kernel", "SIZE", default="", hidden=True),
        ],
    )


def mounts() -> Command:
    return Command(
        "mounts",
        "add|remove ID FILE",
        "Add mounts to a running container, or remove them."
        "  FILE holds mounts as in config.json, as a list or in an object; - is standard input."
        "  Either all are added or none; to remove mounts, their destinations are enough.",
        "mounts:main",
    )


def events() -> Command:
    return Command(
        "events",
        "ID",
        "Show a container's resource use at intervals, and when it runs out of memory.",
        "events:main",
        [
            Option("--interval", "time between statistics", "DURATION", default="5s"),
            Option(
                "--pressure",
                "also show memory pressure of this level or higher",
                "low|medium|critical",
                default="",
                filled=True,
            ),
            Option("--stats", "show statistics once, and exit"),
        ],
    )


_CRIU = [
    Option(
        "--image-path", "directory for the image files (default: checkpoint)", "DIR", default=""
    ),
    Option("--work-path", "directory for CRIU's logs", "DIR", default=""),
    Option("--tcp-established", "allow open TCP connections"),
    Option("--ext-unix-sk", "allow sockets that lead out of the container"),
    Option("--shell-job", "allow a terminal that is not the container's own"),
    Option("--file-locks", "allow locked files"),
    Option("--lazy-pages", "copy memory only when it is used"),
    Option(
        "--manage-cgroups-mode",
        "how to treat control groups: soft, full, strict or ignore",
        "MODE",
        default="soft",
    ),
    Option("--empty-ns", "leave out what is in this namespace", "NAMESPACE", repeat=True),
    Option("--auto-dedup", "remove pages from earlier images that a later one also has"),
    Option("--tcp-close", "restore TCP connections as closed"),
    Option(
        "--network-lock",
        "how to stop the network meanwhile: iptables, nftables or skip",
        "METHOD",
        default="",
    ),
]


def checkpoint() -> Command:
    return Command(
        "checkpoint",
        "ID",
        "Save a container's processes to files, and end them.  Needs CRIU.",
        "checkpoint:checkpoint",
        [
            *_CRIU,
            Option("--parent-path", "directory of an earlier --pre-dump", "DIR", default=""),
            Option("--leave-running", "let the processes run on"),
            Option("--tcp-skip-in-flight", "skip TCP connections that are still being made"),
            Option("--link-remap", "allow open files that have been deleted"),
            Option(
                "--status-fd",
                "write to this descriptor when --lazy-pages is ready",
                "FD",
                default="",
            ),
            Option("--page-server", "send memory to this page server", "ADDRESS:PORT", default=""),
            Option("--pre-dump", "save only the memory, and let the processes run"),
        ],
    )


def restore() -> Command:
    return Command(
        "restore",
        "ID",
        "Make a container from what `checkpoint` has saved, and let it run on.  Needs CRIU.",
        "checkpoint:restore",
        [
            BUNDLE,
            CONSOLE_SOCKET,
            PID_FILE,
            DETACH,
            NO_SUBREAPER,
            NO_PIVOT,
            *_CRIU,
            Option(
                "--lsm-profile",
                "use this security profile instead of its old one",
                "LSM:NAME",
                default="",
            ),
            Option(
                "--lsm-mount-context",
                "use this SELinux context for mounts, too",
                "CONTEXT",
                default="",
            ),
        ],
    )


def spec() -> Command:
    return Command(
        "spec",
        "",
        "Write a config.json to start from.",
        "spec:main",
        [
            BUNDLE,
            Option("--rootless", "for a container that an ordinary user runs"),
            Option(
                "--from",
                "with the configuration of container ID, or of the bundle at a path with a /",
                "ID|PATH",
                filled=True,
            ),
        ],
    )


def features() -> Command:
    return Command(
        "features",
        "",
        "Show what libct supports, as JSON.",
        "features:main",
    )


def plan() -> Command:
    return Command(
        "plan",
        "[ID]",
        "Show step by step what starting a bundle's container would do.",
        "planned:main",
        [
            BUNDLE,
            _JSON,
            Option("--where", "show where each step is planned and performed, as FILE:LINE"),
            Option("--source", "show the function that performs step N", "N"),
            Option("--html", "write a page to look at, for a browser", "FILE", filled=True),
            Option("--run", "show the plan of `run`, which does not wait between create and start"),
            Option("--no-pivot", "as for run"),
            Option("--no-new-keyring", "as for run"),
        ],
    )


def check() -> Command:
    return Command(
        "check",
        "",
        "Show what this host can do for containers, and what a bundle lacks here."
        "  The exit status is 1 if something would keep a container from starting.",
        "check:main",
        [
            Option("-b, --bundle", "also look at this bundle", "DIR", default="", filled=True),
            _JSON,
        ],
    )


def sandbox() -> Command:
    return Command(
        "sandbox",
        "COMMAND [ARG...]",
        "Run a command in a throwaway container over the host's own files, read-only.",
        "sandbox:main",
        [
            Option("--ro", "show this path of the host, read-only", "PATH", repeat=True),
            Option("--rw", "show this path of the host, writable", "PATH", repeat=True),
            Option(
                "--bind",
                "show a path of the host somewhere else",
                "SRC:DST[:ro]",
                repeat=True,
            ),
            Option("--ro-try", "as --ro, if the path exists", "PATH", repeat=True),
            Option("--rw-try", "as --rw, if the path exists", "PATH", repeat=True),
            Option("--bind-try", "as --bind, if SRC exists", "SRC:DST[:ro]", repeat=True),
            Option("--ro-bind", "as --bind SRC:DST:ro", "SRC DST", repeat=True),
            Option("--dev-bind", "as --bind SRC:DST", "SRC DST", repeat=True),
            Option("--ro-bind-try", "as --ro-bind, if SRC exists", "SRC DST", repeat=True),
            Option("--dev-bind-try", "as --dev-bind, if SRC exists", "SRC DST", repeat=True),
            Option(
                "--dev", "show this device of the host (for example /dev/fuse)", "PATH", repeat=True
            ),
            Option(
                "--tmpfs",
                "make an empty directory in memory, and limit it to SIZE",
                "PATH[:SIZE]",
                repeat=True,
            ),
            Option(
                "--size",
                "limit each --tmpfs without a SIZE of its own to this",
                "SIZE",
                default="",
                filled=True,
            ),
            Option("--dir", "make a directory", "PATH", repeat=True),
            Option("--symlink", "make the link PATH to TARGET", "TARGET PATH", repeat=True),
            Option("--file", "copy a file of the host in", "SRC:DST", repeat=True),
            Option(
                "--rootfs",
                "use this directory as /",
                "DIR",
                default="",
                filled=True,
            ),
            Option("--empty", "show only what other options ask for"),
            Option("--proc", "own: as usual; none: an empty /proc", "own|none", default="own"),
            Option("--sys", "own: as usual; none: an empty /sys", "own|none", default="own"),
            Option("--overlay", "let everything be written, and throw it away at the end"),
            Option("--home", "show the real home directory, read-only"),
            Option(
                "--net",
                "network: one of these, or the path of a namespace",
                "host|none|veth|pasta|NS",
                default="none",
                filled=True,
            ),
            Option("--unshare-net", "as --net none"),
            Option(
                "-e, --env",
                "set an environment variable, or pass on the caller's",
                "NAME[=VALUE]",
                repeat=True,
            ),
            Option("--setenv", "as --env NAME=VALUE", "NAME VALUE", repeat=True),
            Option("--clearenv, --clear-env", "pass on no variable of the caller's environment"),
            Option("--unsetenv, --unset", "do not pass on this variable", "NAME", repeat=True),
            Option("--chdir, --cwd", "working directory", "DIR", default="", filled=True),
            Option(
                "-u, --user",
                "user, and optionally group, by number or by name",
                "USER[:GROUP]",
                default="",
                filled=True,
            ),
            Option("--uid", "user, by number", "N", default=None),
            Option("--gid", "group, by number", "N", default=None),
            Option("--userns", "use a user namespace even as root: no rights outside"),
            Option("--subids", "also map the caller's subordinate ids (/etc/subuid)"),
            Option("--new-session", "ignored, for bubblewrap's callers: a sandbox always has one"),
            Option("--die-with-parent", "ignored, for bubblewrap's callers: a sandbox always does"),
            Option("--hostname", "host name inside", "NAME", default="sandbox", filled=True),
            Option(
                "--memory",
                "limit memory to SIZE (for example 100M)",
                "SIZE",
                default="",
                filled=True,
            ),
            Option("--pids", "limit the number of processes", "N", default=0),
            Option(
                "--cpus",
                "limit CPU time to that of NUMBER CPUs (for example 0.5)",
                "NUMBER",
                default="",
                filled=True,
            ),
            Option(
                "--cpu-time",
                "limit the CPU time of each process",
                "SECONDS",
                default="",
                filled=True,
            ),
            Option(
                "--rlimit",
                "set a resource limit (for example NOFILE=1024)",
                "NAME=SOFT[:HARD]",
                repeat=True,
            ),
            Option("--keep-caps", "keep the caller's capabilities, except root's CAP_SYS_PTRACE"),
            Option(
                "--seccomp",
                "seccomp profile, or unconfined for none",
                "FILE",
                default="default",
                filled=True,
            ),
            SECCOMP_LEARN,
            Option(
                "--landlock",
                'restrict it by Landlock rules: {"write": ["/tmp"], "connect_tcp": []}',
                "JSON",
                default="",
                filled=True,
            ),
            Option(
                "--timeout",
                "kill the command after TIME (for example 10, or 2m); status 124",
                "TIME",
                default="",
                filled=True,
            ),
            Option(
                "--max-output",
                "kill the command when it has written more than SIZE",
                "SIZE",
                default="",
                filled=True,
            ),
            Option(
                "--json-status",
                "write the pid, and how it ended, to this descriptor",
                "N",
                default=-1,
            ),
            Option("--quiet", "do not say why the command was killed, or where it starts"),
            Option("--as-pid-1", "run the command as process 1, without a reaper"),
            Option("--outlive", "do not end the sandbox when libct is killed"),
            Option("--plan", "show what would be done, and do nothing"),
            Option("--json", "with --plan: as JSON"),
            TRACE,
            TRACE_FORMAT,
        ],
        passes_on=True,
        failure=125,
        usage_failure=125,
    )


def seccomp() -> Command:
    return Command(
        "seccomp",
        "dump|explain|lint PROFILE [CALL [ARG...]]",
        "Show what a profile of system calls does."
        "  dump prints the filter's instructions, explain which rule decides on a call, and lint"
        " what is suspicious."
        "  PROFILE is a bundle or its config.json, an engine's profile, or default: libct's own."
        "  Without ARGs, explain shows what decides on them."
        "  The exit status of lint is 1 if a container could not start under the profile.",
        "seccomp:main",
        [
            Option("--json", "dump: print the profile itself, as linux.seccomp of a config.json"),
            Option(
                "--arch",
                "for programs of this architecture (for example x86, aarch64)",
                "ARCH",
                default="",
                filled=True,
            ),
            Option("--cap", "for a container that may have this capability", "CAP", repeat=True),
            Option(
                "--kernel",
                "for a kernel of this version (default: this one)",
                "VERSION",
                default="",
                filled=True,
            ),
        ],
    )


def completion() -> Command:
    return Command(
        "completion",
        "bash|zsh|fish",
        "Write a script that completes libct's command lines in a shell."
        '  For bash: eval "$(libct completion bash)" in ~/.bashrc.',
        "completion:main",
    )


def man() -> Command:
    return Command(
        "man",
        "[COMMAND]",
        "Show the man page of a command, or libct(1).",
        "manual:main",
        [
            Option(
                "--dir",
                "write all pages into this directory, for a package",
                "DIR",
                default="",
                filled=True,
            )
        ],
    )


def help() -> Command:  # noqa: A001  # what it is called
    return Command(
        "help",
        "[COMMAND|TOPIC]",
        "Show the options of a command, or a page of the documentation."
        "  TOPIC is one of the pages that `libct --help` lists, with or without `.md`.",
        "help:main",
    )

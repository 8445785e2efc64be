"""The tables of the command line: global options, commands, and their options.

Nothing but tables; options.py reads them.  The order is that of the help.
"""

from __future__ import annotations

from .options import HELP, Command, Option

GLOBAL_OPTIONS = [
    Option(
        "--root",
        "directory of the containers' states (default: /run/libct, or $XDG_RUNTIME_DIR/libct)",
        "DIR",
        default="",
    ),
    Option("--log", "write errors to this file, too", "FILE", default=""),
    Option("--log-format", "form of the log", "text|json", default="text"),
    Option("--debug", "show where in libct an error comes from"),
    Option("--systemd-cgroup", "cgroupsPath is slice:prefix:name, for systemd to make"),
    Option(
        "--rootless",
        "do without limits that this user may not set",
        "true|false|auto",
        default="auto",
    ),
    HELP,
    Option("-v, --version", "show the version"),
]

_BUNDLE = Option("-b, --bundle", "directory of config.json", "DIR", default=".")
_TRACE = Option(
    "--trace", "write what was done, and how long it took, as JSON lines", "FILE", default=""
)
_CONSOLE_SOCKET = Option(
    "--console-socket", "send the terminal to this AF_UNIX socket", "PATH", default=""
)
_PIDFD_SOCKET = Option(
    "--pidfd-socket", "send a pidfd of the process to this AF_UNIX socket", "PATH", default=""
)
_PID_FILE = Option("--pid-file", "write the number of the process to this file", "FILE", default="")
_PRESERVE_FDS = Option(
    "--preserve-fds", "pass on so many more descriptors, from 3 on", "N", default=0
)
_DETACH = Option("-d, --detach", "do not wait for the end of the process")
_JSON = Option("--json", "as JSON")
_FORMAT = Option("-f, --format", "form of the output", "table|json", default="table")

_CREATE = [
    _BUNDLE,
    _CONSOLE_SOCKET,
    _PIDFD_SOCKET,
    _PID_FILE,
    Option("--no-pivot", "move the root instead of pivot_root, for a rootfs on an initramfs"),
    Option("--no-new-keyring", "keep the session keyring of the caller"),
    _PRESERVE_FDS,
    _TRACE,
]
_RUN = [
    *_CREATE,
    _DETACH,
    Option("--keep", "keep the state when the process has ended"),
    Option("--no-subreaper", "leave orphans of the container to another process"),
]
_EXEC = [
    _CONSOLE_SOCKET,
    _PIDFD_SOCKET,
    Option("--cwd", "working directory in the container", "DIR", default=""),
    Option("-e, --env", "set an environment variable", "NAME=VALUE", repeat=True),
    Option("-t, --tty", "give the process a terminal"),
    Option("-u, --user", "user, and group, by number or by name", "USER[:GROUP]", default=""),
    Option("-g, --additional-gids", "supplementary group", "GROUP", repeat=True),
    Option("-p, --process", "file with the process as in config.json", "FILE", default=""),
    _DETACH,
    _PID_FILE,
    Option("--process-label", "SELinux label of the process", "LABEL", default=""),
    Option("--apparmor", "AppArmor profile of the process", "PROFILE", default=""),
    Option("--no-new-privs", "no program may gain privileges"),
    Option("-c, --cap", "add a capability", "CAPABILITY", repeat=True),
    _PRESERVE_FDS,
    Option("--cgroup", "control group below the container's", "[CONTROLLER:]PATH", repeat=True),
    Option("--ignore-paused", "also in a paused container"),
    _TRACE,
]
_SANDBOX = [
    Option("--ro", "show this path of the host, read-only", "PATH", repeat=True),
    Option("--rw", "show this path of the host, to be written to", "PATH", repeat=True),
    Option(
        "--bind", "show a path of the host somewhere else, to be written to", "SRC:DST", repeat=True
    ),
    Option("--overlay", "let everything be written, and throw it away at the end"),
    Option("--home", "show the home directory, read-only, and not an empty one"),
    Option("--net", "network: the host's, or a loopback device alone", "host|none", default="none"),
    Option(
        "-e, --env",
        "set an environment variable, or pass on the caller's",
        "NAME[=VALUE]",
        repeat=True,
    ),
    Option("--cwd", "working directory", "DIR", default=""),
    Option("-u, --user", "user, and group, by number or by name", "USER[:GROUP]", default=""),
    Option("--hostname", "name of the host in there", "NAME", default="sandbox"),
    Option("--memory", "at most so much memory, 100M", "SIZE", default=""),
    Option("--pids", "at most so many processes", "N", default=0),
    Option("--cpus", "at most the time of so many CPUs, 0.5", "NUMBER", default=""),
    Option("--keep-caps", "keep all capabilities of the caller"),
    Option("--plan", "show what would be done, and do nothing"),
    Option("--json", "with --plan: as JSON"),
    _TRACE,
]

COMMANDS = {
    command.name: command
    for command in (
        Command(
            "run",
            "ID",
            "Create a container from a bundle and run it to its end."
            "  The exit status is that of its process, or 128 and the number of the signal.",
            "create:run",
            _RUN,
        ),
        Command(
            "create",
            "ID",
            "Create a container from a bundle.  Its process waits for `start`.",
            "create:create",
            _CREATE,
        ),
        Command("start", "ID", "Start the process of a created container.", "control:start"),
        Command(
            "exec",
            "ID [COMMAND [ARG...]]",
            "Run another process in a container."
            "  The exit status is that of the process, and 255 if it cannot be run.",
            "execute:main",
            _EXEC,
            passes_on=True,
            failure=255,
        ),
        Command(
            "kill",
            "ID [SIGNAL]",
            "Send a signal to the process of a container."
            "  By number or name, with or without SIG; SIGTERM unless another is given.",
            "control:kill",
            [Option("-a, --all", "send it to all processes of the container", hidden=True)],
        ),
        Command(
            "delete",
            "ID",
            "Remove a container that has stopped, or was never started.",
            "control:delete",
            [Option("-f, --force", "end it first; no error if there is none")],
        ),
        Command("pause", "ID", "Freeze all processes of a container.", "control:pause"),
        Command("resume", "ID", "Let the processes of a paused container go on.", "control:resume"),
        Command("state", "ID", "Show the state of a container as JSON.", "look:state"),
        Command(
            "list",
            "",
            "List the containers.",
            "look:list_all",
            [_FORMAT, Option("-q, --quiet", "ids alone")],
        ),
        Command(
            "ps",
            "ID [PS-OPTION...]",
            "List the processes of a container."
            "  The options after ID are those of ps(1), -ef unless others are given.",
            "look:ps",
            [_FORMAT],
            passes_on=True,
        ),
        Command(
            "events",
            "ID",
            "Show what a container uses, and when it runs out of memory, until it stops."
            "  Each event is a line of JSON.",
            "events:main",
            [
                Option("--interval", "time between two looks: 500ms, 1m", "TIME", default="5s"),
                Option("--stats", "show what it uses once, and end"),
            ],
        ),
        Command(
            "spec",
            "",
            "Write a config.json to start from.",
            "spec:main",
            [_BUNDLE, Option("--rootless", "for a container that an ordinary user runs")],
        ),
        Command(
            "plan",
            "[ID]",
            "Show, step by step, what the start of a bundle's container would do.",
            "planned:main",
            [
                _BUNDLE,
                _JSON,
                Option("--no-pivot", "as for run"),
                Option("--no-new-keyring", "as for run"),
            ],
        ),
        Command(
            "sandbox",
            "COMMAND [ARG...]",
            "Run a command in a throwaway container over the host's own files, read-only.",
            "sandbox:main",
            _SANDBOX,
            passes_on=True,
        ),
    )
}

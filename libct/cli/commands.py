"""The tables of the command line: global options, commands, and their options.

Nothing but tables: options.py reads a command line by them, and completion.py
and manual.py write what is generated from them.  Each command has a function
that makes its table, so that a command line makes only the one it needs; those
that are called less often are in more_commands.py, and options that several
commands have in shared_options.py.

Commands and options are runc's (1.5), with its meanings; those of libct alone
are --trace, --json, and the commands at the end of the list.
"""

from __future__ import annotations

from .options import HELP, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

GLOBAL_OPTIONS = [
    Option(
        "--root",
        "directory for the containers' states (default: /run/libct, or $XDG_RUNTIME_DIR/libct)",
        "DIR",
        default="",
    ),
    Option(
        "--log",
        "also write errors to this file, or to journald:ID or syslog:ID",
        "FILE",
        default="",
    ),
    Option("--log-format", "format of the log", "text|json", default="text"),
    Option("--debug", "log what is done, and show where in libct an error comes from"),
    Option(
        "--systemd-cgroup",
        "have systemd make the control groups: cgroupsPath is slice:prefix:name",
    ),
    Option(
        "--cgroup-manager",
        "who makes the control groups: libct, systemd or nobody (default: cgroupfs)",
        "cgroupfs|systemd|disabled",
        default="",
    ),
    Option(
        "--rootless",
        "do without limits that this user may not set",
        "true|false|auto",
        default="auto",
    ),
    Option("--criu", "ignored, for runc's callers", "PATH", default="", hidden=True),
    HELP,
    Option("-v, --version", "show the version"),
]

_FORMAT = Option("-f, --format", "output format", "table|json", default="table")

_REGEX = "take ID as a regular expression, for all containers whose id matches"


def _making() -> list[Option]:
    """The options of `run` and `create`."""
    from . import shared_options as shared

    return [
        shared.BUNDLE,
        shared.CONSOLE_SOCKET,
        shared.PIDFD_SOCKET,
        shared.PID_FILE,
        shared.NO_PIVOT,
        Option("--no-new-keyring", "keep the session keyring of the caller"),
        shared.PRESERVE_FDS,
        shared.TRACE,
        shared.TRACE_FORMAT,
    ]


def _run() -> Command:
    from .shared_options import DETACH, NO_SUBREAPER, SECCOMP_LEARN

    return Command(
        "run",
        "ID",
        "Create a container from a bundle and run it to its end."
        "  The exit status is that of its process, or 128 plus the number of the signal that"
        " killed it.",
        "create:run",
        [
            *_making(),
            DETACH,
            Option("--keep", "keep the state when the process has ended"),
            NO_SUBREAPER,
            SECCOMP_LEARN,
        ],
    )


def _create() -> Command:
    return Command(
        "create",
        "ID",
        "Create a container from a bundle.  Its process waits for `start`.",
        "create:create",
        _making(),
    )


def _start() -> Command:
    return Command("start", "ID", "Start the process of a created container.", "control:start")


def _exec() -> Command:
    from . import shared_options as shared

    return Command(
        "exec",
        "ID [COMMAND [ARG...]]",
        "Run another process in a container."
        "  The exit status is that of the process, or 255 if it cannot be run.",
        "execute:main",
        [
            shared.CONSOLE_SOCKET,
            shared.PIDFD_SOCKET,
            Option("--cwd", "working directory in the container", "DIR", default=""),
            Option("-e, --env", "set an environment variable", "NAME=VALUE", repeat=True),
            Option("-t, --tty", "give the process a terminal"),
            Option(
                "-u, --user",
                "user, and optionally group, by number or by name",
                "USER[:GROUP]",
                default="",
            ),
            Option("-g, --additional-gids", "add a supplementary group", "GROUP", repeat=True),
            Option(
                "-p, --process",
                "read the process, as in config.json, from this file",
                "FILE",
                default="",
            ),
            shared.DETACH,
            shared.PID_FILE,
            Option("--process-label", "SELinux label of the process", "LABEL", default=""),
            Option("--apparmor", "AppArmor profile of the process", "PROFILE", default=""),
            Option("--no-new-privs", "let no program gain privileges"),
            Option("-c, --cap", "add a capability", "CAPABILITY", repeat=True),
            shared.PRESERVE_FDS,
            Option(
                "--cgroup",
                "run in this control group below the container's",
                "[CONTROLLER:]PATH",
                repeat=True,
            ),
            Option("--ignore-paused", "run even if the container is paused"),
            shared.TRACE,
            shared.TRACE_FORMAT,
        ],
        passes_on=True,
        failure=255,
    )


def _kill() -> Command:
    return Command(
        "kill",
        "ID [SIGNAL]",
        "Send a signal to the process of a container."
        "  SIGNAL is a number or a name, with or without SIG; the default is SIGTERM.",
        "control:kill",
        [
            Option("-a, --all", "send it to all processes of the container", hidden=True),
            Option("-r, --regex", _REGEX),
        ],
    )


def _delete() -> Command:
    return Command(
        "delete",
        "ID",
        "Remove a container that has stopped, or was never started.",
        "control:delete",
        [
            Option("-f, --force", "end it first; no error if it does not exist"),
            Option("-r, --regex", _REGEX),
        ],
    )


def _pause() -> Command:
    return Command("pause", "ID", "Freeze all processes of a container.", "control:pause")


def _resume() -> Command:
    return Command("resume", "ID", "Thaw all processes of a paused container.", "control:resume")


def _state() -> Command:
    return Command("state", "ID", "Show the state of a container as JSON.", "look:state")


def _list() -> Command:
    return Command(
        "list",
        "",
        "List the containers.",
        "look:list_all",
        [_FORMAT, Option("-q, --quiet", "print only ids")],
    )


def _ps() -> Command:
    return Command(
        "ps",
        "ID [PS-OPTION...]",
        "List the processes of a container.  Options after ID go to ps(1); the default is -ef.",
        "look:ps",
        [_FORMAT],
        passes_on=True,
    )


# In the order of the help.
# None: the function of that name in more_commands.py.
_TABLES: dict[str, Callable[[], Command] | None] = {
    "run": _run,
    "create": _create,
    "start": _start,
    "exec": _exec,
    "kill": _kill,
    "delete": _delete,
    "pause": _pause,
    "resume": _resume,
    "update": None,
    "mounts": None,
    "state": _state,
    "list": _list,
    "ps": _ps,
    "events": None,
    "checkpoint": None,
    "restore": None,
    "spec": None,
    "features": None,
    "plan": None,
    "check": None,
    "sandbox": None,
    "seccomp": None,
    "completion": None,
    "man": None,
    "help": None,
}


class _Commands:
    """The commands by name, each made when it is asked for."""

    def get(self, name: str) -> Command | None:
        if name not in _TABLES:
            return None
        make = _TABLES[name]
        if make is None:
            from . import more_commands

            make = getattr(more_commands, name)
        return make()

    def values(self) -> list[Command]:
        return [command for name in _TABLES if (command := self.get(name))]


COMMANDS = _Commands()

"""From a command line to its exit status: dispatch, and one line for every error."""

from __future__ import annotations

import posix
import sys

from ..errors import ConfigError, Error, StepError, notes, printable
from .program import PROGRAM, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .log import Log
    from .options import Arguments, Command

# The commands that need the bootstrap server.
_STARTING = ("run", "create", "exec", "sandbox")
_LOOKING = ("plan", "check")  # at what a start would do
# Those that are about containers, and take no ID.
_WITHOUT_ID = ("list", "sandbox")
# Container engines look for these words where a command could not be executed.
_EXECUTING = ("run", "create", "exec", "start")
_START_FAILED = "unable to start container process: "


def main(words: Sequence[str], *, own: bool) -> int:
    """Run a command line; returns the exit status.

    own: this process is there for it alone.

    Whatever goes wrong is one line on standard error, or one for each finding
    about a configuration, and the same in the log.  With --log-format json and no
    file for it standard error is the log.
    """
    arguments: Arguments | None = None
    log = None
    try:
        inherited = _look_at_descriptors()
        if own:
            _start_server_early(words)
        from .commands import COMMANDS, GLOBAL_OPTIONS
        from .options import parse

        arguments = parse(words, GLOBAL_OPTIONS, COMMANDS)
        _check_preserved(arguments, inherited)
        if arguments.log or arguments.log_format == "json":
            from .log import Log

            log = Log(arguments.log, arguments.log_format)
        return _run(arguments)
    except BrokenPipeError:
        return 128 + 13  # as if SIGPIPE had ended us
    except KeyboardInterrupt as error:
        return _interrupted(error)
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            return _interrupted(error.__cause__)  # it came in the middle of a step
        command = arguments.command if arguments is not None else None
        if arguments is None:
            log = _log_of(error)
        if "--debug" in words if arguments is None else arguments.debug:
            import traceback

            if log is not None and log.shown:
                log.write("debug", traceback.format_exc())
            else:
                _complain(traceback.format_exc())
        _report(
            _lines(error, command), [f"while cleaning up: {text}" for text in notes(error)], log
        )
        failure: int = command.failure if command is not None else 1
        return getattr(error, "exit_status", failure)


def _interrupted(error: KeyboardInterrupt) -> int:
    """As a shell has the end by a signal, which is SIGINT where it does not say."""
    return 128 + (error.args[0] if error.args else 2)


def _start_server_early(words: Sequence[str]) -> None:
    """Start the bootstrap server before anything else, so that it loads while we do.

    A word may be an operand, and the server not be needed: no harm is done.
    """
    if "--help" in words or words[:1] in (["help"], ["man"]):
        return
    if "--plan" in words or not any(word in _STARTING for word in words):
        if any(word in (*_STARTING, *_LOOKING) for word in words):
            from ..bootstrap.servers import be_command_line

            be_command_line()
        return
    from ..bootstrap.servers import start_server

    try:
        start_server(single=True, further="exec" in words)
    except Error:
        pass  # a start will say it again


def _run(arguments: Arguments) -> int:
    command = arguments.command
    if command is None or arguments.help:
        from .commands import COMMANDS, GLOBAL_OPTIONS
        from .help import command_help, program_help

        if command is not None:
            output(command_help(command))
        else:
            output(_version() if arguments.version else program_help(GLOBAL_OPTIONS, COMMANDS))
        return 0
    if arguments.criu:
        from .log import report

        report(arguments, "warning", "--criu is ignored, as by newer versions of runc")
    if command.operands.startswith("ID") or command.name in _WITHOUT_ID:
        _sweep(arguments.root)
    module, _, function = command.handler.partition(":")
    handler: Callable[[Arguments], int] = getattr(
        __import__(f"{__package__}.{module}", fromlist=[function]), function
    )
    return handler(arguments)


def _sweep(root: str) -> None:
    """Remove what is left of sandboxes whose libct was killed."""
    from ..life.directory import default_root
    from ..life.mortal import sweep

    sweep(root or default_root())


def _version() -> str:
    from .. import __version__
    from ..oci.default_spec import VERSION

    python = ".".join(map(str, sys.version_info[:3]))
    return f"{PROGRAM} version {__version__}\nspec: {VERSION}\npython: {python}\n"


# --- descriptors ---


def _look_at_descriptors() -> int:
    """How many descriptors from 3 on are the caller's; asked before any is ours.

    What of 0, 1 and 2 is closed is opened: nothing of ours may become that, and
    so a container's standard stream.
    """
    for fd in range(3):
        if not _is_open(fd):
            posix.open("/dev/null", posix.O_RDWR)  # takes the lowest number that is free
    count = 0
    while _is_open(3 + count):
        count += 1
    return count


def _is_open(fd: int) -> bool:
    try:
        posix.fstat(fd)
    except OSError:
        return False
    return True


def _check_preserved(arguments: Arguments, inherited: int) -> None:
    """See that the descriptors to be passed on are there, and are the caller's."""
    count = getattr(arguments, "preserve_fds", 0)
    sockets = 0
    command = arguments.command
    if command is not None and command.name in ("run", "create"):
        from .launch import handed_sockets

        sockets = handed_sockets()
        if sockets > inherited:
            raise Error(f"LISTEN_FDS={sockets}: descriptor {3 + inherited} is not open")
    if count < 0:
        raise Error(f"--preserve-fds {count}: not a number of descriptors")
    if count > inherited - sockets:
        raise Error(f"--preserve-fds {count}: descriptor {3 + inherited} is not open")


# --- errors ---


def _log_of(error: Exception) -> Log | None:
    """The log that the options before a mistake in the command line ask for."""
    values = getattr(error, "values", None)
    if not values or not (values["log"] or values["log_format"] == "json"):
        return None
    from .log import Log

    try:
        return Log(values["log"], values["log_format"])
    except Error:
        return None  # the mistake is said on standard error


def _lines(error: Exception, command: Command | None) -> list[str]:
    """What there is to say about an error; line breaks in it are written out later."""
    if isinstance(error, ConfigError):
        texts = [str(finding) for finding in error.findings]
    elif isinstance(error, StepError):
        starting = command is not None and command.name in _EXECUTING
        texts = [_START_FAILED * starting + str(error)]
    elif isinstance(error, Error):
        texts = [str(error)]
    elif isinstance(error, OSError) and error.strerror:
        where = f": {error.filename!r}" if error.filename is not None else ""
        texts = [f"{error.strerror}{where}"]
    else:
        texts = [f"internal error: {type(error).__name__}: {error} (--debug shows where)"]
    return [_with_small_letters(text.rstrip("\n"), error) for text in texts]


def _with_small_letters(text: str, error: BaseException) -> str:
    """What errnos say, as callers of runc look for it: "no such file or directory".

    Go's texts are C's without capitals.  Those of the library are as Python has them.
    """
    seen: BaseException | None = error
    while seen is not None:
        code = getattr(seen, "errno", None)
        if type(code) is int:
            said = posix.strerror(code)
            text = text.replace(said, said.lower())
        seen = seen.__cause__ or seen.__context__
    return text


def _report(lines: Sequence[str], later: Sequence[str], log: Log | None) -> None:
    """Say what went wrong, and what went wrong later, when it was cleaned up after that."""
    if log is None or not log.shown:
        for line in (*lines, *later):
            _complain(f"{PROGRAM}: {printable(line)}\n")
    if log is not None:
        # In one: engines show the last error of the log, and no other.
        log.write("error", "; ".join(lines))
        for line in later:
            log.write("warning", line)


def _complain(text: str) -> None:
    try:
        posix.write(2, printable(text, "\n").encode())
    except OSError:
        pass  # nobody reads it: the exit status says it all

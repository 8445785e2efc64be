"""libct start, kill, delete, pause and resume."""

from __future__ import annotations

import _signal
import posix

from ..errors import ContainerDamaged, ContainerNotFound, ContainerNotRunning, Error, StepError
from ..life import rules as lifecycle
from ..life.container import container_ids, load
from ..life.directory import Directory, default_root
from ..loading.paths import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..life.container import Container
    from .options import Arguments

# As engines and the programs of most images count; to musl 34 is one of its own, and 35 the first.
_RTMIN = 34


def start(arguments: Arguments) -> int:
    container = load(arguments.root, arguments.operands[0])
    tell = _telling(arguments, container)
    try:
        if environment("NOTIFY_SOCKET"):
            _start_service(arguments, container)
        else:
            container.exec()
    except StepError as error:
        if error.place.startswith("hooks."):
            from .removal import remove

            # It has stopped, and goes on with its removal (runtime.md, Lifecycle).
            remove(arguments, container, error)
        raise
    tell("the process {pid} has executed its command")
    return 0


def _start_service(arguments: Arguments, container: Container) -> None:
    """Start it, and wait until it is ready or has ended (notify.py)."""
    from .notify import Notifications

    state = container.state()
    lifecycle.require("exec", state["status"], container.id)  # or its socket is in use
    proxy = Notifications(arguments, container.id).listen(arguments)
    if proxy is None:
        container.exec()
        return
    from ..syscalls import pidfds

    pidfd = pidfds.open_process(state["pid"])
    try:
        container.exec()
        proxy.until_ready(pidfd, state["pid"])
    finally:
        posix.close(pidfd)


def pause(arguments: Arguments) -> int:
    container = load(arguments.root, arguments.operands[0])
    tell = _telling(arguments, container)
    container.pause()
    tell("froze the processes {pids} in the control groups {groups}")
    return 0


def resume(arguments: Arguments) -> int:
    container = load(arguments.root, arguments.operands[0])
    tell = _telling(arguments, container)
    container.resume()
    tell("thawed the processes {pids} in the control groups {groups}")
    return 0


def kill(arguments: Arguments) -> int:
    target, *rest = arguments.operands
    text = rest[0] if rest and rest[0] else "TERM"
    if arguments.regex:
        number = signal_number(text)  # once, also where there is no container
        return _for_all(arguments, lambda one: _kill(arguments, load(arguments.root, one), number))
    container = load(arguments.root, target)
    _kill(arguments, container, signal_number(text))
    return 0


def _kill(arguments: Arguments, container: Container, number: int) -> None:
    tell = _telling(arguments, container)
    try:
        container.signal(number, all=arguments.all)
    except ContainerNotRunning:
        if not arguments.all:
            raise
    tell(f"sent signal {number} to " + ("all of {pids}" if arguments.all else "{pid}"))


def _for_all(arguments: Arguments, act: Callable[[str], None]) -> int:
    """Act on the containers whose id the pattern is found in.

    One that fails is a warning, and the others follow, as with crun.
    """
    import re

    from .log import report

    pattern = arguments.operands[0]
    if not pattern:  # it is what is left of a variable that has not been set
        raise Error("--regex: an empty pattern is found in all ids: for all, write '.'")
    try:
        matches = re.compile(pattern).search
    except (re.error, OverflowError, RecursionError) as error:
        raise Error(f"--regex: not a regular expression: {pattern!r}: {error}") from error
    for name in container_ids(arguments.root):
        if not matches(name):
            continue
        try:
            act(name)
        except ContainerNotFound:
            continue  # being made or removed just now, or no container's
        except Error as error:
            report(arguments, "warning", str(error))
    return 0


def _telling(arguments: Arguments, container: Container) -> Callable[[str], None]:
    """What logs, with --debug, what has been done (debug.py)."""
    if not arguments.debug:
        return lambda text: None
    from .debug import Teller

    return Teller(arguments, container).tell


def signal_number(text: str) -> int:
    """The number of a signal given by number or by name: "9", "KILL", "sigkill", "RTMIN+3"."""
    digits = text[text.startswith("+") :]  # a sign is a number's, to runc
    if digits.isascii() and digits.isdigit():
        last = digits[-3:]  # int() refuses thousands of them
        if int(last) < _signal.NSIG and not digits[:-3].strip("0"):
            return int(last)
        raise Error(f"unknown signal: {text!r}")
    names = {
        name[3:]: int(number)
        for name, number in vars(_signal).items()
        if name.startswith("SIG") and name[3:4] not in ("_", "") and isinstance(number, int)
    }
    names["RTMIN"] = _RTMIN
    name, sign, distance = text.upper().partition("+")
    if "-" in name:
        name, sign, distance = name.partition("-")
    name = name[3 * name.startswith("SIG") :]
    if name in names and not sign:
        return names[name]
    from ..config.number_lists import whole_number

    steps = whole_number(distance, _signal.NSIG)
    if name in ("RTMIN", "RTMAX") and steps is not None:
        number = names[name] + (-steps if sign == "-" else steps)
        if names["RTMIN"] <= number <= names["RTMAX"]:
            return number
    from ..config.nearest import did_you_mean

    raise Error(f"unknown signal: {text!r}{did_you_mean(name, names)}")


def delete(arguments: Arguments) -> int:
    if arguments.regex:
        return _for_all(arguments, lambda name: _delete(arguments, name))
    (container_id,) = arguments.operands
    try:
        _delete(arguments, container_id)
    except ContainerNotFound:
        if not arguments.force:
            raise
        # A create that was killed before it had written anything, say.
        _remove_remains(arguments, container_id)
    return 0


def _delete(arguments: Arguments, container_id: str) -> None:
    try:
        container = load(arguments.root, container_id)
        tell = _telling(arguments, container)
        container.destroy(force=arguments.force)
        tell("removed, with its control groups {groups}; it was {status}")
        if container.warnings:
            from .removal import warn

            warn(arguments, container)
    except ContainerDamaged:
        if not arguments.force:
            raise
        _remove_remains(arguments, container_id)


def _remove_remains(arguments: Arguments, container_id: str) -> None:
    from ..life.ending import remove_remains

    remove_remains(Directory(arguments.root or default_root(), container_id))
    if arguments.debug:
        from .log import report

        report(arguments, "debug", f"container {container_id!r}: removed what there was of it")

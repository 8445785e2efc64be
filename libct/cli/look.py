"""libct state, list and ps."""

from __future__ import annotations

from ..config.status import CREATING
from ..errors import ContainerNotFound, Error, printable
from ..life.container import list_containers, load
from ..life.rules import require
from ..loading import jsontext
from ..loading.paths import exists
from .program import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..errors import ContainerDamaged
    from .options import Arguments

_COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")


def state(arguments: Arguments) -> int:
    container = load(arguments.root, arguments.operands[0])
    state = container.state()
    if state["status"] == CREATING:
        require("show", CREATING, container.id)
    output(jsontext.dumps(state, indent=2) + "\n")
    return 0


def list_all(arguments: Arguments) -> int:
    damaged: list[ContainerDamaged] = []
    if arguments.root and not exists(arguments.root):
        # A default directory is made when it is needed; another one may be mistyped.
        what = f"open {arguments.root}: no such file or directory"
        raise Error(f"cannot list the containers: {what}")
    found = list_containers(arguments.root, damaged=damaged)
    troubles = [str(error) for error in damaged]
    states = []
    for container in () if arguments.quiet else found:
        try:
            states.append(container.state())
        except ContainerNotFound:
            continue  # removed just now
        except Error as error:
            troubles.append(str(error))
    if troubles:
        from .log import report

        report(arguments, "warning", *troubles)
    if arguments.quiet:
        output("".join(f"{container.id}\n" for container in found))
        return 0
    if arguments.format == "json":
        _output_json(states)
    else:
        rows = [[str(each[column]) for column in _COLUMNS] for each in states]
        output(table([[column.upper() for column in _COLUMNS], *rows]))
    return 0


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of texts as lines, in columns."""
    rows = [[printable(text) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "".join(
        "   ".join(f"{text:{width}}" for text, width in zip(row, widths)).rstrip() + "\n"
        for row in rows
    )


def ps(arguments: Arguments) -> int:
    container_id, *options = arguments.operands
    pids = load(arguments.root, container_id).processes()
    if arguments.format == "json":
        _output_json(pids)
    else:
        output(chosen_lines(_run_ps(options or ["-ef"]), pids))
    return 0


def chosen_lines(text: str, pids: Sequence[int]) -> str:
    """The heading of what ps printed, and the lines of these processes."""
    heading, *lines = text.split("\n")
    try:
        column = heading.split().index("PID")
    except ValueError:
        raise Error("ps shows no column PID: choose options that give one") from None
    wanted = {str(pid) for pid in pids}
    found = [heading]
    for line in lines:
        words = line.split()
        if len(words) > column and words[column] in wanted:
            found.append(line)
    return "\n".join(found) + "\n"


def _run_ps(options: Sequence[str]) -> str:
    """What ps(1) prints, with those options."""
    import os

    reader, writer = os.pipe()
    try:
        actions = [(os.POSIX_SPAWN_DUP2, writer, 1)]
        pid = os.posix_spawnp("ps", ["ps", *options], os.environ, file_actions=actions)
    except OSError as error:
        os.close(reader)
        raise Error(f"cannot run ps: {error.strerror} (`ps --format json` does without)") from error
    finally:
        os.close(writer)
    with open(reader, encoding="utf-8", errors="surrogateescape") as pipe:
        text = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        raise Error(f"ps failed with status {status}")
    return text


def _output_json(value: Any) -> None:
    """In one line, as runc's."""
    output(jsontext.dumps(value) + "\n")

"""The help of the program and of its commands, from the tables of the command line."""

from __future__ import annotations

from .program import PROGRAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .options import Command, Commands, Option


def command_help(command: Command) -> str:
    about = command.help.replace(".  ", ".\n")
    return f"Usage: {command.usage()}\n\n{about}\n\nOptions:\n{option_lines(command.options)}"


def program_help(options: Iterable[Option], commands: Commands) -> str:
    shown = [command for command in commands.values() if not command.hidden]
    width = max(len(command.name) for command in shown)
    # The first sentence, without its full stop.
    lines = "".join(
        f"  {command.name:{width}}  {command.help.partition('.  ')[0].rstrip('.')}\n"
        for command in shown
    )
    return (
        f"Usage: {PROGRAM} [options] COMMAND ...\n\nRun Linux containers.\n\n"
        f"Commands:\n{lines}\nOptions:\n{option_lines(options)}\n"
        f"{PROGRAM} COMMAND --help shows the options of a command.\n"
    )


def option_lines(options: Iterable[Option]) -> str:
    """The options in two columns, one a line."""
    rows = []
    for option in options:
        if not option.hidden:
            names = ", ".join(option.names)
            if not names.startswith("-" + names[1:2] + ","):
                names = "    " + names  # long names below each other
            default = f" (default: {option.default})" if option.default else ""
            again = "; may be repeated" if option.repeat else ""
            rows.append((f"{names} {option.metavar}".rstrip(), option.help + again + default))
    width = max(len(left) for left, _ in rows)
    return "".join(f"  {left:{width}}  {right}\n" for left, right in rows)

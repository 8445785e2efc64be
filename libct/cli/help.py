"""The help of the program and of its commands, from the tables of the command line."""

from __future__ import annotations

import os
import sys

from ..config.nearest import did_you_mean
from ..errors import Error
from .manual_texts import TEXTS
from .options import UsageError
from .program import PROGRAM, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .options import Arguments, Command, Commands, Option

# The pages of docs, as `libct help TOPIC` has them.  Some are called as a command: with .md.
TOPICS = (
    *(
        "index.md",
        "library.md",
        "commands.md",
        "sandbox.md",
        "network.md",
        "seccomp.md",
        "landlock.md",
    ),
    *("cgroups.md", "checkpoint.md", "security.md", "compatibility.md", "performance.md"),
    *("troubleshooting.md", "ci.md", "vendoring.md", "testing.md", "audit.md", "architecture.md"),
    *("engines/containerd.md", "engines/cri-o.md", "engines/docker.md", "engines/kubernetes.md"),
    *("engines/podman.md", "levels/README.md"),
)


def main(arguments: Arguments) -> int:
    """libct help TOPIC; options.py has taken all that is the name of a command."""
    from .commands import COMMANDS

    (name,) = arguments.operands
    topic = name.removeprefix("docs/").removesuffix(".md") + ".md"
    if topic not in TOPICS:
        known = [command.name for command in COMMANDS.values()]
        known += [each[: -len(".md")] for each in TOPICS]
        hint = did_you_mean(name, known) or f" (`{PROGRAM} --help` lists them)"
        raise UsageError(f"no such command or page: {name!r}{hint}")
    for place in _places():
        try:
            with open(f"{place}/{topic}", encoding="utf-8") as file:
                text = file.read()
        except OSError:
            continue
        output(text)
        return 0
    from .. import __version__

    raise Error(
        f"cannot show docs/{topic}: this libct was installed without its documentation (it is in"
        f" the repository, and in the sdist: pip download --no-deps --no-binary :all:"
        f" libct=={__version__})"
    )


def _places() -> list[str]:
    """Where the pages may be: beside the package, in a checkout or an sdist; where packages are."""
    beside = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) + "/docs"
    own = os.path.exists(f"{beside}/data/share/man/man1/libct.1")  # not a project's that copied us
    return [beside] * own + [f"{sys.prefix}/share/doc/libct"]


def command_help(command: Command) -> str:
    more = f"\n{PROGRAM} man {command.name} shows its man page.\n" if command.name in TEXTS else ""
    options = option_lines(command.options)
    return f"Usage: {command.usage()}\n\n{command.about}\n\nOptions:\n{options}{more}"


def program_help(options: Iterable[Option], commands: Commands) -> str:
    shown = [command for command in commands.values() if not command.hidden]
    width = max(len(command.name) for command in shown)
    # The first sentence, without its full stop.
    lines = "".join(f"  {command.name:{width}}  {command.summary}\n" for command in shown)
    lines_of_topics = (TOPICS[at : at + 6] for at in range(0, len(TOPICS), 6))
    topics = "\n".join("  " + "  ".join(line) for line in lines_of_topics)
    return (
        f"Usage: {PROGRAM} [options] COMMAND ...\n\nRun Linux containers.\n\n"
        f"Commands:\n{lines}\nOptions:\n{option_lines(options)}\n"
        f"{PROGRAM} COMMAND --help shows the options of a command.\n"
        f"{PROGRAM} man COMMAND shows its man page.\n"
        f"{PROGRAM} help TOPIC shows a page of the documentation:\n{topics}\n"
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

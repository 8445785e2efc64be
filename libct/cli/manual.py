"""libct man: the man pages, written from the tables of commands.py and from manual_texts.py.

libct(1) is about the whole.  A command that manual_texts.py says more of has a page of its own,
as libct-run(1).  docs/data in the repository, which a wheel installs, has what this writes.
"""

from __future__ import annotations

import os
import re
import sys

from ..config.nearest import did_you_mean
from .commands import COMMANDS, GLOBAL_OPTIONS
from .manual_texts import TEXTS
from .options import UsageError
from .program import PROGRAM, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .options import Arguments, Command, Option

_GLOBAL = f"Global options, such as `--root`, go before the name of the command: see {PROGRAM}(1)."


def main(arguments: Arguments) -> int:
    if arguments.dir:
        if arguments.operands:
            raise UsageError("man: --dir writes all pages: leave out the command")
        for name, text in pages().items():
            with open(os.path.join(arguments.dir, name), "w", encoding="utf-8") as file:
                file.write(text)
        return 0
    (name,) = arguments.operands or [""]
    if name and COMMANDS.get(name) is None:
        known = [command.name for command in COMMANDS.values()]
        raise UsageError(f"no such command: {name!r}{did_you_mean(name, known)}")
    found = pages()
    text = found.get(f"{PROGRAM}-{name}.1", found[f"{PROGRAM}.1"])
    if os.isatty(1):
        import subprocess

        try:
            return subprocess.run(["man", "-l", "-"], input=text.encode(), check=False).returncode
        except FileNotFoundError:
            said = "man is not installed (Debian's man-db), so this is the source of the page"
            print(f"{PROGRAM}: {said}", file=sys.stderr)
    output(text)
    return 0


def pages() -> dict[str, str]:
    """All pages, in the macros of man(7), by the names of their files."""
    own = [command for command in COMMANDS.values() if command.name in TEXTS]
    return {
        f"{PROGRAM}.1": _page(
            PROGRAM,
            "run Linux containers",
            f"\\fB{PROGRAM}\\fR [\\fIoptions\\fR] \\fIcommand\\fR ...",
            TEXTS[""],
            f".SH OPTIONS\n{_options(GLOBAL_OPTIONS)}.SH COMMANDS\n"
            + "".join(map(_listed, COMMANDS.values())),
        ),
        **{f"{PROGRAM}-{command.name}.1": _command_page(command) for command in own},
    }


def _listed(command: Command) -> str:
    """A command in the list of libct(1)."""
    if command.name in TEXTS:
        about = f"{command.summary}: {PROGRAM}-{command.name}(1)."
    else:
        about = command.help
    return (
        f".TP\n\\fB{command.name}\\fR {_plain(command.operands)}".rstrip() + f"\n{_line(about)}\n"
    )


def _command_page(command: Command) -> str:
    first = command.summary
    text = f"{command.about}\n\n{TEXTS[command.name]}"
    if "# EXIT STATUS" not in text:
        status = f"# EXIT STATUS\n\n0, or {command.failure} after an error, which is on"
        text = text.replace("# ", f"{status} standard error.\n\n# ", 1)
    return _page(
        f"{PROGRAM}-{command.name}",
        first[0].lower() + first[1:],
        f"\\fB{PROGRAM} {command.name}\\fR [\\fIoptions\\fR] {_plain(command.operands)}".rstrip(),
        text.replace("# SEE ALSO\n\n", f"# SEE ALSO\n\n{PROGRAM}(1), "),
        f".SH OPTIONS\n{_line(_GLOBAL)}\n{_options(command.options)}",
    )


def _page(name: str, purpose: str, usage: str, text: str, middle: str) -> str:
    """middle: what stands between the description and the rest of the text."""
    about, _, rest = text.partition("# ")
    return (
        f'.\\" Written by `{PROGRAM} man`; do not edit.\n.TH {_plain(name.upper())} 1\n'
        f".SH NAME\n{_plain(name)} \\- {_line(purpose)}\n.SH SYNOPSIS\n{usage}\n"
        f".SH DESCRIPTION\n{_paragraphs(about)}{middle}{_paragraphs('# ' + rest)}"
    )


def _paragraphs(text: str) -> str:
    """Text as manual_texts.py has it."""
    made, below_heading = "", True
    for paragraph in re.split(r"\n\n+", text.strip("\n")):
        if paragraph.startswith("# "):
            made += f".SH {paragraph[2:]}\n"
        elif paragraph.startswith("* "):
            term, _, about = paragraph[2:].partition(": ")
            made += f".TP\n\\fB{_plain(term)}\\fR\n{_lines(about)}"
        elif paragraph.startswith("    "):
            example = "\n".join(_plain(line[4:]) for line in paragraph.split("\n"))
            made += f".PP\n.RS\n.EX\n{example}\n.EE\n.RE\n"
        else:
            made += ("" if below_heading else ".PP\n") + _lines(paragraph)
        below_heading = paragraph.startswith("# ")
    return made


def _lines(text: str) -> str:
    return "".join(f"{_line(line)}\n" for line in text.split("\n"))


def _options(options: Iterable[Option]) -> str:
    text = ""
    for option in options:
        if option.hidden:
            continue
        names = ", ".join(f"\\fB{_plain(name)}\\fR" for name in option.names)
        value = f" \\fI{_plain(option.metavar)}\\fR" if option.metavar else ""
        again = "; may be repeated" if option.repeat else ""
        default = f" (default: {option.default})" if option.default else ""
        text += f".TP\n{names}{value}\n{_line(option.help + again + default)}\n"
    return text


def _line(text: str) -> str:
    """Text at the start of a line, where a dot or a quote would be a request.

    Words between backticks, and names of man pages, are bold.
    """
    words = text.split("`")
    words[::2] = [
        re.sub(r"([\w\\-]+)(\(\d\))", r"\\fB\1\\fR\2", _plain(each)) for each in words[::2]
    ]
    words[1::2] = [f"\\fB{_plain(each)}\\fR" for each in words[1::2]]
    line = "".join(words)
    return f"\\&{line}" if line[:1] in (".", "'") else line


def _plain(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq")

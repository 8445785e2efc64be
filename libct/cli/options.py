"""Command lines, read by tables: options, commands, and the help that they give.

The tables are in commands.py.  argparse alone would cost more than all the rest
of a command that only asks for a state.

What callers of runc may write is understood: `--name value`, `--name=value`, a
long name behind one dash, `-n value`, `-nvalue`, flags together (`-dt`), flags
with a value (`--tty=false`), and `--` before operands that look like options.
"""

from __future__ import annotations

from ..errors import Error
from .program import PROGRAM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, Protocol

    class Commands(Protocol):
        """The commands by name."""

        def get(self, name: str, /) -> Command | None: ...

        def values(self) -> Iterable[Command]: ...


_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")


class UsageError(Error):
    """A command line that cannot be understood.

    values: of the options before what is wrong, by their keys: how to log this.
    exit_status: that the command line ends with.
    """

    values: Mapping[str, Any] | None = None

    def __init__(self, message: str, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class Option:
    """An option.

    names: "-b, --bundle"; the value is under the last one, as `bundle`.
    metavar: "" for a flag; "N" for a whole number; "a|b" for one of these
        words, "a|B" also for others; "SRC DST" for two words, each time (repeat);
        anything else is a text, and says of what kind: DIR, FILE, ID.
    repeat: may be given again; the value is a list.
    hidden: works, and is not shown.
    filled: "" is an error.  It is what a shell makes of a command that has failed, and
        would be as if the option were not given.  (It is, for runc's options.)
    """

    __slots__ = ("default", "filled", "help", "hidden", "metavar", "names", "repeat")

    def __init__(
        self,
        names: str,
        help: str,  # noqa: A002  # what it is called everywhere else
        metavar: str = "",
        *,
        default: Any = None,
        repeat: bool = False,
        hidden: bool = False,
        filled: bool = False,
    ) -> None:
        self.names, self.filled = names.split(", "), filled
        self.help, self.metavar, self.repeat, self.hidden = help, metavar, repeat, hidden
        self.default = default if metavar else False

    @property
    def key(self) -> str:
        return self.names[-1].lstrip("-").replace("-", "_")

    def read(self, text: str, name: str) -> Any:
        """The value that text is; name: what the option was called."""
        if not self.metavar:
            if text.lower() in _TRUE + _FALSE:
                return text.lower() in _TRUE
            raise UsageError(f"{name}: neither true nor false: {text!r}")
        if self.filled and not text:
            raise UsageError(f"{name}: empty")
        if self.metavar == "N":
            if text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20:
                return int(text)
            raise UsageError(f"{name}: not a whole number: {text!r}")
        words = self.metavar.split("|")
        if len(words) > 1 and text not in words and not words[-1].isupper():
            raise UsageError(f"{name}: not {self.metavar.replace('|', ' or ')}: {text!r}")
        return text


class Command:
    """A command.

    operands: as the usage line shows them: "ID [SIGNAL]", "ID [COMMAND [ARG...]]".
    handler: "module:function" of this package, imported when it is called; it
        gets the Arguments and returns the exit status.
    help: sentences, two spaces between them; the first stands in the list of commands.
    passes_on: options end at the first operand; what follows is another program's.
    failure: the exit status when libct itself fails; usage_failure: when it is called wrongly.
    """

    __slots__ = (
        "failure",
        "handler",
        "help",
        "hidden",
        "name",
        "operands",
        "options",
        "passes_on",
        "usage_failure",
    )

    def __init__(
        self,
        name: str,
        operands: str,
        help: str,  # noqa: A002
        handler: str,
        options: Iterable[Option] = (),
        *,
        passes_on: bool = False,
        hidden: bool = False,
        failure: int = 1,
        usage_failure: int = 1,
    ) -> None:
        self.name, self.operands, self.help, self.handler = name, operands, help, handler
        self.options = [*options, HELP]
        self.passes_on, self.hidden, self.failure = passes_on, hidden, failure
        self.usage_failure = usage_failure

    def check(self, operands: Sequence[str]) -> None:
        """UsageError when there are too few or too many of them."""
        wanted = self.operands.split()
        needed = [word for word in wanted if not word.startswith("[")]
        if len(operands) < len(needed):
            missing = " ".join(needed[len(operands) :])
            text = f"{self.name}: missing: {missing} (usage: {self.usage()})"
            raise UsageError(text, self.usage_failure)
        if len(operands) > len(wanted) and "..." not in self.operands:
            extra = operands[len(wanted)]
            text = f"{self.name}: unexpected argument {extra!r} (usage: {self.usage()})"
            raise UsageError(text, self.usage_failure)

    @property
    def summary(self) -> str:
        """The first sentence of the help."""
        return self.help.partition(".  ")[0].rstrip(".")

    @property
    def about(self) -> str:
        """The help, a sentence a line."""
        return self.help.replace(".  ", ".\n")

    def usage(self) -> str:
        return f"{PROGRAM} {self.name} [options] {self.operands}".rstrip()


class Arguments:
    """What a command line says: each option by its key, and

    command: the Command, None where there is no more than options.
    operands: the words that are no options.
    """

    def __init__(
        self, values: dict[str, Any], command: Command | None, operands: list[str]
    ) -> None:
        self.__dict__.update(values)
        self.command, self.operands = command, operands

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


HELP = Option("-h, --help", "show this help")


def parse(words: Sequence[str], options: Sequence[Option], commands: Commands) -> Arguments:
    """Read a command line: global options, a command, its options and operands.

    Raises UsageError, with the nearest name that there is.
    """
    values = _defaults(options)
    try:
        return _parse(words, options, commands, values)
    except UsageError as error:
        error.values = values
        raise


def _parse(
    words: Sequence[str],
    options: Sequence[Option],
    commands: Commands,
    values: dict[str, Any],
) -> Arguments:
    rest = _read(words, options, values, stop=True)
    if not rest:
        return Arguments(values, None, [])
    name, *words = rest
    if name == "help" and not (words and commands.get(words[0]) is None):  # else: help.py
        values["help"] = True
        if not words:
            return Arguments(values, None, [])
        name, words = words[0], []
    command = commands.get(name)
    if command is None:
        known = [each.name for each in commands.values() if not each.hidden]
        from ..config.nearest import did_you_mean

        hint = did_you_mean(name, known) or " (`libct --help` lists them)"
        raise UsageError(f"no such command: {name!r}{hint}")
    wants_help = values["help"]
    values.update(_defaults(command.options))
    try:
        operands = _read(words, command.options, values, stop=command.passes_on)
    except UsageError as error:
        text = f"{name}: {error}{_misplaced(words, options, command)}"
        raise UsageError(text, command.usage_failure) from None
    values["help"] |= wants_help
    if not values["help"]:
        command.check(operands)
    return Arguments(values, command, operands)


def _defaults(options: Iterable[Option]) -> dict[str, Any]:
    return {option.key: [] if option.repeat else option.default for option in options}


def _read(
    words: Sequence[str], options: Iterable[Option], values: dict[str, Any], *, stop: bool
) -> list[str]:
    """Put the options into values and return the operands; stop: the rest are, after the first."""
    known = {name: option for option in options for name in option.names}
    operands: list[str] = []
    left = list(reversed(words))
    while left:
        word = left.pop()
        if word == "--":
            return operands + left[::-1]
        if word == "-" or not word.startswith("-"):
            operands.append(word)
            if stop:
                return operands + left[::-1]
            continue
        name, equals, text = word.partition("=")
        option = known.get(name) or known.get("-" + name)
        if option is not None:
            _give(option, name, text if equals else None, left, values)
        elif word.startswith("--") or word[:2] not in known:
            from ..config.nearest import did_you_mean

            raise UsageError(f"no such option: {name}{did_you_mean(name, known)}")
        else:
            _read_together(word, known, left, values)
    return operands


def _read_together(
    word: str, known: Mapping[str, Option], left: list[str], values: dict[str, Any]
) -> None:
    """Short options in one word, "-dt"; what follows one with a value is the value."""
    for at in range(1, len(word)):
        name = "-" + word[at]
        option = known.get(name)
        if option is None:
            raise UsageError(f"no such option: {name} (in {word})")
        if option.metavar:
            text = word[at + 1 :]
            _give(option, name, text[text.startswith("=") :] if text else None, left, values)
            return
        values[option.key] = True


def _give(
    option: Option, name: str, text: str | None, left: list[str], values: dict[str, Any]
) -> None:
    """Store an option's value; text: what came in its word, None for nothing."""
    wanted = option.metavar.split()
    if len(wanted) > 1:
        if text is not None or len(left) < len(wanted):
            raise UsageError(f"{name}: not followed by {option.metavar}")
        values[option.key].append([left.pop() for _ in wanted])
        return
    if text is None:
        if not option.metavar:
            text = "true"
        elif left:
            text = left.pop()
        else:
            raise UsageError(f"{name}: missing: {option.metavar}")
    value = option.read(text, name)
    if option.repeat:
        values[option.key].append(value)
    else:
        values[option.key] = value


def _misplaced(words: Iterable[str], options: Iterable[Option], command: Command) -> str:
    """A hint where a global option stands behind the command."""
    mine = {name for option in command.options for name in option.names}
    for option in options:
        for name in option.names:
            if name not in mine and any(word.split("=")[0] == name for word in words):
                return f" ({name} goes before {command.name})"
    return ""

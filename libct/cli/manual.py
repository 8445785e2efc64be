"""libct man: the man page, written from the tables of commands.py.

docs/libct.1 in the repository is what this prints; a test sees that it is.
"""

from __future__ import annotations

from .commands import COMMANDS, GLOBAL_OPTIONS
from .program import PROGRAM, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .options import Arguments, Command, Option

_ABOUT = """\
{program} creates, runs and inspects Linux containers, as an OCI runtime and as a
tool of its own.  Its commands and options are those of
.BR runc (8);
the ones of {program} alone are
.BR plan ,
.BR check ,
.BR sandbox ,
.B seccomp
and
.BR completion ,
and the options
.B \\-\\-trace
and
.BR \\-\\-json .
.PP
Options come before or after operands; those that belong to no command come
before the command.  A value follows its option as the next word or after an
equals sign.
"""

_REST = """\
.SH EXIT STATUS
.BR run ,
.B exec
and
.B sandbox
end with the status of the command that they have run, or with 128 and the number
of the signal that ended it.
Where {program} itself fails, the status is 1, and 255 for
.BR exec .
.SH ENVIRONMENT
.TP
.B XDG_RUNTIME_DIR
where an ordinary user's states are kept, in a directory
.I {program}
of it
.TP
.BR LISTEN_FDS ", " LISTEN_PID
sockets that a service manager hands to
.B run
and
.BR create ,
passed on to the container
.TP
.B NOTIFY_SOCKET
where
.BR run ", " create " and " start
tell a service manager that the container is ready, once it has said so
.TP
.B NO_COLOR
keeps
.B check
from using colors
.SH FILES
.TP
.I /run/{program}
states of root's containers, one directory for each
.TP
.I config.json
in a bundle: what the container is, in the form of the OCI runtime\\-spec
.SH EXAMPLES
A command over the host's own files, which it cannot change:
.PP
.RS
.EX
{program} sandbox \\-\\- ls \\-l /
.EE
.RE
.PP
A bundle, and a container of it:
.PP
.RS
.EX
mkdir \\-p bundle/rootfs      # and put a root file system there
{program} spec \\-b bundle
{program} check \\-b bundle
{program} plan \\-b bundle
{program} run \\-b bundle mine
.EE
.RE
.SH SEE ALSO
.BR namespaces (7),
.BR cgroups (7),
.BR capabilities (7),
.BR pivot_root (2)
.PP
The OCI runtime\\-spec: https://github.com/opencontainers/runtime\\-spec
"""


def main(arguments: Arguments) -> int:
    output(page())
    return 0


def page() -> str:
    """The page, in the macros of man(7)."""
    program = PROGRAM
    text = (
        f'.\\" Written by `{program} man` from the tables of its command line; do not edit.\n'
        f".TH {program.upper()} 1\n"
        f".SH NAME\n{program} \\- run Linux containers\n"
        f".SH SYNOPSIS\n.B {program}\n[\\fIoptions\\fR] \\fIcommand\\fR ...\n"
        f".SH DESCRIPTION\n{_ABOUT.format(program=program)}"
        f".SH OPTIONS\n{_options(GLOBAL_OPTIONS)}"
        ".SH COMMANDS\n"
    )
    for command in COMMANDS.values():
        if not command.hidden:
            text += _command(command)
    return text + _REST.format(program=program)


def _command(command: Command) -> str:
    usage = f"\\fB{_plain(command.name)}\\fR [\\fIoptions\\fR] {_plain(command.operands)}".rstrip()
    about = "\n".join(_line(sentence) for sentence in command.help.split("  "))
    return f".SS {usage}\n{about}\n{_options(command.options)}"


def _options(options: Iterable[Option]) -> str:
    text = ""
    for option in options:
        if option.hidden or "--help" in option.names:
            continue
        names = ", ".join(f"\\fB{_plain(name)}\\fR" for name in option.names)
        value = f" \\fI{_plain(option.metavar)}\\fR" if option.metavar else ""
        again = "; may be repeated" if option.repeat else ""
        default = f" (default: {option.default})" if option.default else ""
        text += f".TP\n{names}{value}\n{_line(option.help + again + default)}\n"
    return text


def _line(text: str) -> str:
    """Text at the start of a line, where a dot or a quote would be a request."""
    text = _plain(text)
    return f"\\&{text}" if text[:1] in (".", "'") else text


def _plain(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq")

"""libct completion: scripts that complete command lines in bash, zsh and fish.

All three are written from the tables of commands.py.  Ids of containers are
asked of `libct list -q` when they are needed.
"""

from __future__ import annotations

from ..errors import Error
from .commands import COMMANDS, GLOBAL_OPTIONS
from .control import signal_number
from .help import TOPICS
from .program import PROGRAM, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .options import Arguments, Command, Option

# These make the container that ID names, so there is none to choose from.
_NEW = ("create", "plan", "restore", "run")
_FILES = ("FILE", "PATH")
_SIGNALS = (
    *("HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "TSTP", "WINCH"),
)


def main(arguments: Arguments) -> int:
    (shell,) = arguments.operands
    if shell not in _SHELLS:
        raise Error(f"no such shell: {shell!r}: bash, zsh or fish")
    output(_SHELLS[shell]())
    return 0


def _shown() -> list[Command]:
    return [command for command in COMMANDS.values() if not command.hidden]


def _options(options: Iterable[Option]) -> list[Option]:
    return [option for option in options if not option.hidden]


def _kind(option: Option) -> str:
    """What the value is: "" for a flag, "files", "dirs", words to choose from, or "any"."""
    if not option.metavar:
        return ""
    if option.metavar in _FILES:
        return "files"
    if option.metavar == "DIR":
        return "dirs"
    if "|" not in option.metavar:
        return "any"
    return " ".join(word for word in option.metavar.split("|") if not word.isupper())


def _operand_kinds(command: Command) -> list[str]:
    """What each operand is: "ids", "signals", "files", "any", or words to choose from."""
    if command.name in ("help", "man"):
        names = [each.name for each in _shown()]
        return [" ".join([*names, *TOPICS] if command.name == "help" else names)]
    kinds = []
    for word in command.operands.split():
        word = word.strip("[].")
        if word == "ID" and command.name not in _NEW:
            kinds.append("ids")
        elif word == "SIGNAL":
            kinds.append("signals")
        elif word == "PROFILE":
            kinds.append("files")
        else:
            kinds.append(word.replace("|", " ") if "|" in word else "any")
    return kinds


def _signals() -> str:
    return " ".join(name for name in _SIGNALS if signal_number(name))


# --- bash and zsh -------------------------------------------------------------

# Both read these functions: which words there are is the same, only how the
# shell is told differs.  "name:kind" is an option with a value.
_TABLE = """\
# Global options, and those of each command; NAME=KIND has a value.
_{program}_options() {{
    case $1 in
{options}    esac
}}

# What the operands of each command are.
_{program}_operands() {{
    case $1 in
{operands}    esac
}}

# The words that fit at the end of a command line: kind of thing, then the words.
# Arguments: the words before the one that is to be completed, without the program.
_{program}_candidates() {{
    local command= root= kind= option entry position=0 ended=
    local -a known operands
    known=($(_{program}_options ""))
    while [ $# -gt 0 ]; do
        option=$1
        shift
        if [ -z "$ended" ] && [ "$option" = -- ]; then
            ended=1
        elif [ -z "$ended" ] && [ "${{option#-}}" != "$option" ] && [ "$option" != - ]; then
            [ "${{option#*=}}" != "$option" ] && {{
                [ "${{option%%=*}}" = --root ] && root=${{option#*=}}
                continue
            }}
            for entry in "${{known[@]}}"; do
                if [ "${{entry%%=*}}" = "$option" ] && [ "$entry" != "$option" ]; then
                    if [ $# -eq 0 ]; then
                        echo "${{entry#*=}}" | tr + ' '
                        return
                    fi
                    [ "$option" = --root ] && root=$1
                    shift
                    break
                fi
            done
        elif [ -z "$command" ]; then
            command=$option
            known=($(_{program}_options "$command"))
            operands=($(_{program}_operands "$command"))
        else
            position=$((position + 1))
            case " {passing} " in *" $command "*) ended=1 ;; esac
        fi
    done
    if [ -z "$command" ]; then
        echo "words {commands}"
    else
        set -- "${{operands[@]}}"
        [ $position -lt $# ] && {{
            shift $position
            kind=$1
        }}
        case $kind in
        ids)
            set -- ${{root:+--root "$root"}} list -q
            echo "words $({program} "$@" 2>/dev/null | tr '\\n' ' ')"
            ;;
        ?*) echo "$kind" | tr + ' ' ;;
        *) echo any ;;
        esac
    fi
    [ -z "$ended" ] && for entry in "${{known[@]}}"; do
        echo "options ${{entry%%=*}}"
    done
}}
"""


def _shell_table() -> str:
    options = _case("", _shell_options(GLOBAL_OPTIONS))
    operands = ""
    for command in _shown():
        options += _case(command.name, _shell_options(command.options))
        kinds = _operand_kinds(command)
        if kinds:
            operands += _case(command.name, [_shell_kind(kind) for kind in kinds])
    return _TABLE.format(
        program=PROGRAM,
        options=options,
        operands=operands,
        commands=" ".join(command.name for command in _shown()),
        passing=" ".join(command.name for command in _shown() if command.passes_on),
    )


def _case(name: str, words: Sequence[str]) -> str:
    return f"""    {name or '""'}) echo '{" ".join(words)}' ;;\n"""


def _shell_options(options: Iterable[Option]) -> list[str]:
    found = []
    for option in _options(options):
        kind = _kind(option)
        for name in option.names:
            found.append(f"{name}={_shell_kind(kind)}" if kind else name)
    return found


def _shell_kind(kind: str) -> str:
    """One word, with plus signs for spaces."""
    if kind in ("files", "dirs", "any", "ids"):
        return kind
    words = _signals() if kind == "signals" else kind
    return "words+" + words.replace(" ", "+")


def bash() -> str:
    return f"""\
# bash completion of {PROGRAM}, written by `{PROGRAM} completion bash`.

{_shell_table()}
_{PROGRAM}() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} kind words word
    local -a before=()
    COMPREPLY=()
    # --name=value comes as three words.
    [ "$current" = = ] && current=
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        [ "$word" = = ] || before+=("$word")
    done
    while read -r kind words; do
        case $kind in
        words) COMPREPLY+=($(compgen -W "$words" -- "$current")) ;;
        options)
            case $current in -*) COMPREPLY+=($(compgen -W "$words" -- "$current")) ;; esac
            ;;
        dirs)
            compopt -o filenames 2>/dev/null
            COMPREPLY+=($(compgen -d -- "$current"))
            ;;
        files)
            compopt -o filenames 2>/dev/null
            COMPREPLY+=($(compgen -f -- "$current"))
            ;;
        esac
    done < <(_{PROGRAM}_candidates "${{before[@]}}")
}}

complete -F _{PROGRAM} {PROGRAM}
"""


def zsh() -> str:
    return f"""\
#compdef {PROGRAM}
# zsh completion of {PROGRAM}, written by `{PROGRAM} completion zsh`.

{_shell_table()}
_{PROGRAM}() {{
    # The functions above are written for any shell: words are split at spaces.
    emulate -L zsh -o sh_word_split
    local kind list
    local -a before
    before=("${{(@)words[2,CURRENT-1]}}")
    if [[ $PREFIX == -*=* ]]; then
        before+=("${{PREFIX%%=*}}")
        compset -P '*='
    fi
    _{PROGRAM}_candidates "${{before[@]}}" | while read -r kind list; do
        case $kind in
        words) compadd -- ${{=list}} ;;
        options) [[ $PREFIX == -* ]] && compadd -- ${{=list}} ;;
        dirs) _files -/ ;;
        files) _files ;;
        esac
    done
}}

if [ "${{funcstack[1]}}" = _{PROGRAM} ]; then
    _{PROGRAM} "$@"
else
    compdef _{PROGRAM} {PROGRAM}
fi
"""


# --- fish -----------------------------------------------------------------------


def fish() -> str:
    lines = [
        f"# fish completion of {PROGRAM}, written by `{PROGRAM} completion fish`.",
        "",
        f"complete -c {PROGRAM} -e",
        f"complete -c {PROGRAM} -f",
        "",
        "# The words after the program that are no options, and the ids of its containers.",
        f"function __{PROGRAM}_operands",
        "    set -l words (commandline -opc)",
        "    set -l skip 0",
        "    for word in $words[2..-1]",
        "        if test $skip = 1",
        "            set skip 0",
        f"        else if contains -- $word {' '.join(_with_values())}",
        "            set skip 1",
        "        else if not string match -q -- '-*' $word",
        "            echo $word",
        "        end",
        "    end",
        "end",
        "",
        f"function __{PROGRAM}_at --argument-names command position",
        f"    set -l words (__{PROGRAM}_operands)",
        '    test (count $words) = (math $position + 1); and test "$words[1]" = $command',
        "end",
        "",
        f"function __{PROGRAM}_in --argument-names command",
        f"    set -l words (__{PROGRAM}_operands)",
        '    test "$words[1]" = $command',
        "end",
        "",
        f"function __{PROGRAM}_ids",
        "    set -l words (commandline -opc)",
        "    set -l root",
        "    if set -l at (contains -i -- --root $words)",
        "        set root --root $words[(math $at + 1)]",
        "    end",
        f"    {PROGRAM} $root list -q 2>/dev/null",
        "end",
        "",
    ]
    none = f"test (count (__{PROGRAM}_operands)) = 0"
    for option in _options(GLOBAL_OPTIONS):
        lines.append(_fish_option(none, option))
    for command in _shown():
        name = command.name
        # Behind the first operand they may be another program's.
        where = f"__{PROGRAM}_at {name} 0" if command.passes_on else f"__{PROGRAM}_in {name}"
        lines += [
            "",
            _fish(none, f"-a {name}", command.summary),
            *(_fish_option(where, option) for option in _options(command.options)),
        ]
        for position, kind in enumerate(_operand_kinds(command)):
            condition = f"__{PROGRAM}_at {name} {position}"
            if kind == "ids":
                lines.append(_fish(condition, f"-a '(__{PROGRAM}_ids)'"))
            elif kind == "files":
                lines.append(_fish(condition, "-F"))
            elif kind == "signals":
                lines.append(_fish(condition, f"-a '{_signals()}'"))
            elif kind != "any":
                lines.append(_fish(condition, f"-a '{kind}'"))
    return "\n".join(lines) + "\n"


def _with_values() -> list[str]:
    """The names of all options with a value."""
    tables = [GLOBAL_OPTIONS, *(command.options for command in _shown())]
    names = {
        name for table in tables for option in table if option.metavar for name in option.names
    }
    return sorted(names)


def _fish_option(condition: str, option: Option) -> str:
    names = " ".join(
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
    )
    kind = _kind(option)
    value = {
        "": "",
        "any": " -x",
        "files": " -r -F",
        "dirs": " -x -a '(__fish_complete_directories)'",
    }
    return _fish(condition, names + value.get(kind, f" -x -a '{kind}'"), option.help)


def _fish(condition: str, what: str, about: str = "") -> str:
    quoted = about.replace("\\", "\\\\").replace("'", "\\'")
    described = f" -d '{quoted}'" if about else ""
    return f"complete -c {PROGRAM} -n '{condition}' {what}{described}"


_SHELLS: dict[str, Callable[[], str]] = {"bash": bash, "zsh": zsh, "fish": fish}

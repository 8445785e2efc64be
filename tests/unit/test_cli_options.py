"""The parser of the command line, its tables, and what is said about mistakes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from libct.cli import main
from libct.cli.commands import COMMANDS, GLOBAL_OPTIONS
from libct.cli.control import signal_number
from libct.cli.help import command_help, program_help
from libct.cli.look import chosen_lines, table
from libct.cli.options import (
    HELP,
    Arguments,
    Command,
    Option,
    UsageError,
    parse,
)
from libct.errors import Error
from tests.support import CHECKOUT

OPTIONS = [Option("--root", "", "DIR", default="/run"), Option("--debug", ""), HELP]
TOOLS = {
    "run": Command(
        "run",
        "ID",
        "Run it.  And wait.",
        "x:y",
        [
            Option("-b, --bundle", "where", "DIR", default="."),
            Option("-d, --detach", "go"),
            Option("-t, --tty", "terminal"),
            Option("-e, --env", "variable", "NAME=VALUE", repeat=True),
            Option("--count", "number", "N", default=0),
            Option("-f, --format", "form", "table|json", default="table"),
            Option("--secret", "not shown", hidden=True),
        ],
    ),
    "exec": Command(
        "exec",
        "ID [COMMAND [ARG...]]",
        "Execute.",
        "x:y",
        [Option("-t, --tty", "terminal")],
        passes_on=True,
    ),
    "list": Command("list", "", "List.", "x:y"),
}


def read(*words: str) -> Arguments:
    return parse(words, OPTIONS, TOOLS)


def value(key: str, *words: str) -> Any:
    return getattr(read("run", *words, "id"), key)


@pytest.mark.parametrize(
    "words",
    [
        ["--bundle", "there"],
        ["--bundle=there"],
        ["-bundle", "there"],
        ["-bundle=there"],
        ["-b", "there"],
        ["-b=there"],
        ["-bthere"],
        ["-tb", "there"],
        ["-dtb=there"],
        ["-b", "first", "-b", "there"],
    ],
)
def test_a_value_is_understood_however_it_is_written(words: list[str]) -> None:
    assert value("bundle", *words) == "there"


def test_what_is_not_given_has_its_default() -> None:
    arguments = read("run", "id")
    assert (arguments.bundle, arguments.detach, arguments.env) == (".", False, [])
    assert (arguments.count, arguments.root, arguments.debug) == (0, "/run", False)


def test_repeated_options_are_collected_anew_each_time() -> None:
    assert value("env", "-e", "A=1", "--env=B=2=3") == ["A=1", "B=2=3"]
    assert value("env") == []


@pytest.mark.parametrize(
    ("words", "wanted"),
    [(["-d"], True), (["--detach=false"], False), (["-d=0"], False), (["--detach=TRUE"], True)],
)
def test_flags(words: list[str], wanted: bool) -> None:
    assert value("detach", *words) is wanted


def test_flags_go_together() -> None:
    arguments = read("run", "-dt", "id")
    assert arguments.detach
    assert arguments.tty


def test_a_value_may_look_like_an_option() -> None:
    assert value("count", "--count", "-1") == -1
    assert value("bundle", "-b", "--detach") == "--detach"
    assert value("bundle", "-b", "-") == "-"


def test_options_may_follow_operands() -> None:
    arguments = read("run", "id", "-b", "there")
    assert (arguments.operands, arguments.bundle) == (["id"], "there")


def test_options_end_where_another_program_begins() -> None:
    arguments = read("exec", "-t", "id", "ls", "-t", "--help", "--")
    assert arguments.operands == ["id", "ls", "-t", "--help", "--"]
    assert arguments.tty
    assert not arguments.help
    assert not read("exec", "id", "-t").tty


def test_two_dashes_end_the_options() -> None:
    assert read("run", "--", "-d").operands == ["-d"]
    assert read("exec", "-t", "--", "id", "--", "x").operands == ["id", "--", "x"]
    assert read("--debug", "--", "run", "id").command is TOOLS["run"]


def test_global_options_come_first() -> None:
    arguments = read("--root", "/x", "--debug", "run", "id")
    assert (arguments.root, arguments.debug) == ("/x", True)
    assert arguments.command is TOOLS["run"]


@pytest.mark.parametrize("words", [[], ["--debug"]])
def test_without_a_command(words: list[str]) -> None:
    assert read(*words).command is None


@pytest.mark.parametrize(
    "words",
    [["run", "--help"], ["run", "-h", "id"], ["--help", "run"], ["help", "run"]],
)
def test_help_needs_no_operands(words: list[str]) -> None:
    arguments = read(*words)
    assert arguments.help
    assert arguments.command is TOOLS["run"]


def test_help_as_a_command() -> None:
    arguments = read("help")
    assert arguments.help
    assert arguments.command is None
    arguments = parse(["help", "network"], GLOBAL_OPTIONS, COMMANDS)  # a page: see help.py
    assert arguments.command is not None
    assert (arguments.command.name, arguments.operands) == ("help", ["network"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], r"no such command: 'rnu' \(did you mean run\?\)"),
        (["zzzz"], r"no such command: 'zzzz' \(`libct --help` lists them\)$"),
        (["--rot", "x", "run"], r"no such option: --rot \(did you mean --root\?\)"),
        (["run", "--bundel", "x", "id"], r"run: no such option: --bundel \(did you mean --bundle"),
        (["run", "-x", "id"], "run: no such option: -x"),
        (["run", "-dx", "id"], r"run: no such option: -x \(in -dx\)"),
        (["run", "--root", "/x", "id"], r"no such option: --root \(--root goes before run\)"),
        (["run", "id", "--bundle"], "run: --bundle: missing: DIR"),
        (["run", "id", "-b"], "run: -b: missing: DIR"),
        (["run", "id", "--count", "many"], "run: --count: not a whole number: 'many'"),
        (["run", "id", "--count", "²"], "run: --count: not a whole number"),
        (["run", "id", "--count", "--3"], "run: --count: not a whole number: '--3'"),
        (["run", "id", "--count", "9" * 5000], "run: --count: not a whole number: '9999"),
        (["run", "id", "--format", "xml"], "run: --format: not table or json: 'xml'"),
        (["run", "id", "--detach=maybe"], "run: --detach: neither true nor false: 'maybe'"),
        (["run"], r"run: missing: ID \(usage: libct run \[options\] ID\)"),
        (["run", "a", "b"], "run: unexpected argument 'b'"),
        (["list", "a"], "list: unexpected argument 'a'"),
        (["exec"], "exec: missing: ID"),
    ],
)
def test_mistakes(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read(*words)
    assert "\n" not in str(caught.value)


_OWN = ("sandbox", "check", "seccomp")


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("run", "--seccomp-learn"),
        ("run", "--trace"),
        *(
            (command.name, option.names[-1])
            for command in COMMANDS.values()
            if command.name in _OWN
            for option in command.options
            if option.metavar and not option.repeat
        ),
    ],
)
def test_a_value_that_a_shell_made_of_nothing_is_an_error(name: str, option: str) -> None:
    """Not as if the option were not given, which might restrict less: --landlock "$(cat none)"."""
    with pytest.raises(UsageError, match=f"{option}: (empty|not )"):
        parse([name, option, "", "id", "true"], GLOBAL_OPTIONS, COMMANDS)


def test_help_shows_all_but_what_is_hidden() -> None:
    text = command_help(TOOLS["run"])
    assert text.startswith("Usage: libct run [options] ID\n\nRun it.\nAnd wait.\n")
    assert "  -b, --bundle DIR         where (default: .)\n" in text
    assert "  -e, --env NAME=VALUE     variable; may be repeated\n" in text
    assert "      --count N            number\n" in text
    assert "secret" not in text
    text = program_help(OPTIONS, TOOLS)
    assert "  run   Run it\n" in text
    assert "      --root DIR  " in text


# --- the tables ---


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_tables_are_in_order(command: Command) -> None:
    names = [name for option in command.options for name in option.names]
    assert len(names) == len(set(names))
    # Nothing of a command hides a global option, but for spec's flag of another meaning.
    mine = {option.key for option in command.options} - {"help"}
    shared = mine & {option.key for option in GLOBAL_OPTIONS}
    assert shared <= ({"rootless"} if command.name == "spec" else set())
    assert all(len(line) <= 110 for line in command_help(command).splitlines())


@pytest.mark.parametrize("command", COMMANDS.values(), ids=lambda command: command.name)
def test_handlers_exist(command: Command) -> None:
    from importlib import import_module

    module, _, function = command.handler.partition(":")
    if module == "events":
        pytest.importorskip("libct.cli.events")
    assert callable(getattr(import_module(f"libct.cli.{module}"), function))


@pytest.mark.parametrize(
    "words",
    [
        # What container engines call (containerd, conmon, podman, CRI-O).
        "--root R --log L --log-format json --systemd-cgroup create --bundle B --pid-file P ID",
        "create --bundle B --pid-file P --console-socket S --no-pivot --no-new-keyring ID",
        "create --bundle B --pid-file P --preserve-fds 2 ID",
        "exec --process T --console-socket S --detach --pid-file F ID",
        "exec --pid-file F --process P --detach --tty --console-socket S ID",
        "exec --process F ID",
        "kill --all ID 9",
        "kill -a ID KILL",
        "kill ID SIGTERM",
        "delete --force ID",
        "--log-format=json --log L state ID",
        "ps --format json ID",
        "start ID",
        "list --format json",
        "pause ID",
        "resume ID",
        "features",
        "--version",
        "--root R --log L --log-format json update --resources=- ID",
        "update --resources - ID",
        "update --resources=F ID",
        (
            "checkpoint --image-path I --work-path W --tcp-established --ext-unix-sk --shell-job"
            " --file-locks --empty-ns network --leave-running ID"
        ),
        "checkpoint --image-path I --work-path W --pre-dump --parent-path P ID",
        (
            "restore --detach --pid-file P --no-pivot --no-subreaper --image-path I --work-path W"
            " --bundle B ID"
        ),
        (
            "restore --lsm-profile=selinux:X --lsm-mount-context=Y --image-path I"
            " --console-socket S --manage-cgroups-mode ignore -d -b B --pid-file P ID"
        ),
        "--root R --log L events --stats ID",
        "events --interval 1s ID",
    ],
)
def test_command_lines_of_container_engines(words: str) -> None:
    arguments = parse(words.split(), GLOBAL_OPTIONS, COMMANDS)
    assert arguments.command is not None or arguments.version
    assert arguments.operands in ([], ["ID"], ["ID", "9"], ["ID", "KILL"], ["ID", "SIGTERM"])


# runc 1.5's, by command.
RUNC = {
    "create": "--bundle --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring"
    " --preserve-fds",
    "run": "-b --bundle --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring"
    " --preserve-fds -d --detach --keep --no-subreaper",
    "start": "",
    "exec": "--console-socket --pidfd-socket --cwd -e --env -t --tty -u --user -g --additional-gids"
    " -p --process -d --detach --pid-file --process-label --apparmor --no-new-privs -c --cap"
    " --preserve-fds --cgroup --ignore-paused",
    "kill": "-a --all",
    "delete": "-f --force",
    "state": "",
    "pause": "",
    "resume": "",
    "list": "-f --format -q --quiet",
    "ps": "-f --format",
    "events": "--interval --stats",
    "update": "-r --resources --blkio-weight --cpu-period --cpu-quota --cpu-burst --cpu-share"
    " --cpu-rt-period --cpu-rt-runtime --cpuset-cpus --cpuset-mems --memory --cpu-idle"
    " --memory-reservation --memory-swap --pids-limit --l3-cache-schema --mem-bw-schema"
    " --kernel-memory --kernel-memory-tcp",
    "spec": "-b --bundle --rootless",
    "checkpoint": "--image-path --work-path --parent-path --leave-running --tcp-established"
    " --tcp-skip-in-flight --link-remap --ext-unix-sk --shell-job --lazy-pages --status-fd"
    " --page-server --file-locks --pre-dump --manage-cgroups-mode --empty-ns --auto-dedup",
    "restore": "--console-socket --image-path --work-path --tcp-established --ext-unix-sk"
    " --shell-job --file-locks --manage-cgroups-mode -b --bundle -d --detach --pid-file"
    " --no-subreaper --no-pivot --empty-ns --auto-dedup --lazy-pages --lsm-profile"
    " --lsm-mount-context",
    "features": "",
}


@pytest.mark.parametrize("name", RUNC)
def test_every_option_of_runc_is_there(name: str) -> None:
    command = COMMANDS.get(name)
    assert command is not None
    known = {spelling for option in command.options for spelling in option.names}
    assert set(RUNC[name].split()) <= known
    # What is libct's own is long, so that it cannot be in the way of runc's.
    more = known - set(RUNC[name].split()) - {"-h", "--help", "-b"}
    assert more <= {
        *("--trace", "--format", "--from", "--seccomp-learn", "--pressure"),
        *("-r", "--regex"),  # crun's
        *("--memory-swappiness", "--memory-oom-group", "--unified"),
        *("--tcp-close", "--network-lock"),  # crun's
    }


def test_hidden_options_are_those_of_runc() -> None:
    hidden = {
        f"{command.name} {option.names[-1]}"
        for command in COMMANDS.values()
        for option in command.options
        if option.hidden
    }
    assert hidden == {"kill --all", "update --kernel-memory", "update --kernel-memory-tcp"}


def test_options_that_runc_has_given_up(capfd: pytest.CaptureFixture[str]) -> None:
    """It takes them, with a warning, as callers may still give them."""
    assert main(["--criu", "/usr/sbin/criu", "features"]) == 0
    found = capfd.readouterr()
    assert json.loads(found.out)
    assert re.fullmatch('time="[^"]*" level=warning msg="--criu is ignored, .*"\n', found.err)
    assert "--criu" not in program_help(GLOBAL_OPTIONS, COMMANDS)


@pytest.mark.parametrize("words", [["state", "none"], ["nonsense"], ["--nonsense", "list"]])
def test_json_without_a_file_is_on_standard_error(
    capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["--log-format", "json", *words]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert json.loads(line)["level"] == "error"
    assert main(["--log-format", "json", "--debug", *words]) == 1
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["debug", "error"]
    assert "Traceback" in lines[0]["msg"]


def test_a_command_makes_no_table_but_its_own() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from libct.cli import main; main(['list', '-q']);"
        "print('libct.cli.more_commands' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


# --- the whole program ---


def test_no_command_shows_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Usage: libct" in capfd.readouterr().out
    assert main(["kill", "--help"]) == 0
    text = capfd.readouterr().out
    assert "Usage: libct kill [options] ID [SIGNAL]" in text
    assert "--all" not in text


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    name, spec, python = capfd.readouterr().out.splitlines()
    assert name.startswith("libct version ")
    assert spec == "spec: 1.3.0"
    assert python.startswith("python: 3.")


def test_an_error_is_one_line_and_status_1(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 1
    captured = capfd.readouterr()
    assert captured.err == "libct: no such command: 'nonsense' (`libct --help` lists them)\n"
    assert captured.out == ""


def test_debug_shows_the_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--debug", "nonsense"]) == 1
    text = capfd.readouterr().err
    assert "Traceback" in text
    assert "libct: no such command: 'nonsense' (`libct --help` lists them)\n" in text


# --- small readers ---


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9),
        ("0", 0),
        ("+9", 9),
        ("KILL", 9),
        ("SIGKILL", 9),
        ("sigterm", 15),
        ("hup", 1),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("rtmax-1", 63),
    ],
)
def test_signals_by_number_and_name(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++9",
        "+KILL",
        "SIG",
        "65",
        "-9",
        "KIL",
        "_DFL",
        "RTMIN+31",
        "RTMAX+1",
        "²",
        f"RTMIN+{'9' * 5000}",
    ],
)
def test_unknown_signals(text: str) -> None:
    with pytest.raises(Error, match="unknown signal"):
        signal_number(text)


def test_lines_of_ps_are_chosen_by_the_column_pid() -> None:
    text = "USER   PID  PPID\nroot     1    12\nroot    12     1\nroot   112    12\n"
    assert chosen_lines(text, [12]) == "USER   PID  PPID\nroot    12     1\n"
    with pytest.raises(Error, match="no column PID"):
        chosen_lines("USER\nroot\n", [1])


def test_table() -> None:
    assert table([["ID", "PID"], ["one", "1"]]) == "ID    PID\none   1\n"

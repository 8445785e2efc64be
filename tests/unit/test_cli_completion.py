"""Completion as the shells do it: the scripts are run by them, not looked at."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from libct.cli import main
from libct.cli.commands import COMMANDS
from tests.needs import no_skip
from tests.support import libct_command, libct_environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SHELLS = ("bash", "zsh", "fish")


def missing(shell: str) -> bool:
    if shutil.which(shell) is not None:
        return False
    if no_skip():
        pytest.fail(f"this machine lacks: {shell}")
    return True


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if missing(name):
        pytest.skip(f"this machine lacks: {name}")
    return name


@pytest.fixture
def completed(shell: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    """A function: what the shell offers for the last of some words, sorted."""
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capfd.readouterr().out)
    program = tmp_path / "bin" / "libct"
    program.parent.mkdir()
    words = " ".join(f"'{word}'" for word in libct_command(root=tmp_path / "root"))
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        **libct_environment(),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "dumb",
    }
    ask = {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]

    def function(*words: str) -> list[str]:
        return sorted(ask(script, words, environment, tmp_path))

    return function


def _run(command: Sequence[str], environment: dict[str, str], cwd: Path) -> list[str]:
    done = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


def _bash(script: Path, words: Sequence[str], environment: dict[str, str], cwd: Path) -> list[str]:
    # As readline splits it.
    line = [part for word in ("libct", *words) for part in _split(word)]
    quoted = " ".join(f"'{word}'" for word in line)
    code = f"""
        source {script}
        COMP_WORDS=({quoted}); COMP_CWORD={len(line) - 1}
        _libct
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return [line.strip() for line in _run(["bash", "-c", code], environment, cwd) if line]


def _split(word: str) -> list[str]:
    name, equals, value = word.partition("=")
    return [name, "=", value] if equals and value else [name, "="] if equals else [word]


def _zsh(script: Path, words: Sequence[str], environment: dict[str, str], cwd: Path) -> list[str]:
    # compadd is what completions end in; this one prints what fits instead.
    line = " ".join(f"'{word}'" for word in ("libct", *words))
    code = f"""
        compdef() {{ }}
        source {script}
        compadd() {{
            shift
            for each in "$@"; do [[ $each == $PREFIX* ]] && print -r -- $each; done
        }}
        compset() {{ PREFIX=${{PREFIX#*=}} }}
        _files() {{ [[ $1 == -/ ]] && print -r -- $PREFIX*(/) || print -rl -- $PREFIX*; }}
        words=({line}); CURRENT=$#words; PREFIX=${{words[-1]}}
        _libct
        true
    """
    return _run(["zsh", "-f", "-c", code], environment, cwd)


def _fish(script: Path, words: Sequence[str], environment: dict[str, str], cwd: Path) -> list[str]:
    line = " ".join(("libct", *words))
    found = _run(["fish", "-N", "-c", f"source {script}; complete -C '{line}'"], environment, cwd)
    # With a description after a tab; a value comes with its option.
    return [each.partition("\t")[0].rpartition("=")[2] for each in found]


def test_commands(completed: Any) -> None:
    shown = sorted(command.name for command in COMMANDS.values() if not command.hidden)
    assert completed("") == shown
    assert completed("sta") == ["start", "state"]
    assert completed("--root", "/x", "--debug", "pa") == ["pause"]
    assert completed("--root=/x", "pa") == ["pause"]


def test_options(completed: Any) -> None:
    assert completed("--log") == ["--log", "--log-format"]
    assert completed("--log-format", "json", "run", "--no-p") == ["--no-pivot"]
    assert completed("update", "--cpuset") == ["--cpuset-cpus", "--cpuset-mems"]
    assert "--all" not in completed("kill", "--")  # hidden
    assert completed("spec", "--console") == []
    assert completed("man", "--d") == ["--dir"]


def test_values(completed: Any, tmp_path: Path) -> None:
    assert completed("--log-format", "") == ["json", "text"]
    assert completed("list", "--format", "j") == ["json"]
    assert completed("sandbox", "--net", "h") == ["host"]
    assert completed("completion", "") == ["bash", "fish", "zsh"]
    assert completed("kill", "--", "one", "US") == ["USR1", "USR2"]
    assert completed("seccomp", "") == ["dump", "explain", "lint"]


def test_commands_and_pages_of_the_documentation(completed: Any) -> None:
    assert completed("man", "se") == ["seccomp"]
    assert completed("help", "se") == ["seccomp", "seccomp.md", "security.md"]


def test_values_after_an_equals_sign(completed: Any) -> None:
    assert completed("--log-format=") == ["json", "text"]
    assert completed("list", "--format=ta") == ["table"]


def test_files(completed: Any, tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    (tmp_path / "thistle").write_text("")
    found = [name.rstrip("/") for name in completed("run", "-b", "thi")]
    assert found == ["thing"]
    found = [name.rstrip("/") for name in completed("exec", "--process", "thi")]
    assert found == ["thing", "thistle"]
    found = [name.rstrip("/") for name in completed("seccomp", "dump", "thi")]
    assert found == ["thing", "thistle"]


def test_nothing_for_names_of_new_containers_and_for_other_programs(completed: Any) -> None:
    assert completed("run", "") == []
    assert completed("state", "") == []  # there is none
    assert completed("exec", "one", "ls", "--cw") == []


def test_the_script_is_clean(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capfd.readouterr().out
    done = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_another_shell(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 1
    assert capfd.readouterr().err == "libct: no such shell: 'csh': bash, zsh or fish\n"


@pytest.mark.parametrize("name", ["bash", "zsh"])
def test_a_tab_at_the_prompt(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if missing(name):
        pytest.skip(f"this machine lacks: {name}")
    assert main(["completion", name]) == 0
    script = tmp_path / "script"
    script.write_text(capfd.readouterr().out)
    start = f"source {script}"
    if name == "zsh":
        start = f"autoload -Uz compinit && compinit -u -d {tmp_path}/dump && {start}"
    command = ["bash", "--norc", "--noprofile", "-i"] if name == "bash" else ["zsh", "-f", "-i"]
    pid, master = pty.fork()
    if pid == 0:
        os.environ.update(TERM="dumb", HOME=str(tmp_path))
        os.execvp(command[0], command)
    try:
        _type(master, f"{start}; echo rea''dy\r", "ready")
        assert "libct resume" in _type(master, "libct resu\t", "resume")
        shown = _type(master, "\x15libct --log-fo\tj\t", "json")
        assert "--log-format" in shown
        assert "json" in shown
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(master)


def _type(master: int, text: str, until: str) -> str:
    os.write(master, text.encode())
    seen, end = "", time.monotonic() + 20
    while until not in seen and time.monotonic() < end:
        if select.select([master], [], [], 0.5)[0]:
            seen += os.read(master, 4096).decode(errors="replace").replace("\x07", "")
    return seen

"""The man pages: those of the repository are what libct writes, complete, and groff takes them.

And `libct help TOPIC`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from libct.cli import help as topics, main
from libct.cli.commands import COMMANDS, GLOBAL_OPTIONS
from libct.cli.manual import pages
from libct.cli.manual_texts import TEXTS
from libct.cli.options import UsageError, parse
from tests.needs import no_skip
from tests.support import CHECKOUT

from .test_page_commands import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from libct.cli.options import Option

PAGES = pages()
KEPT = "docs/data/share/man/man1"
NAMES = [command.name for command in COMMANDS.values()]
# Command -> the lines of its examples; "" is libct(1).
EXAMPLES = {
    name: [line[4:] for line in text.splitlines() if line.startswith("    ")]
    for name, text in TEXTS.items()
}


def test_the_pages_of_the_repository_are_up_to_date(tmp_path: Path) -> None:
    assert main(["man", "--dir", str(tmp_path)]) == 0
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == PAGES
    kept = {path.name: path.read_text() for path in (CHECKOUT / KEPT).iterdir()}
    assert kept == written, f"python3 -m libct man --dir {KEPT}"


def test_what_man_prints(capfd: pytest.CaptureFixture[str]) -> None:
    # pause has no page of its own: libct(1) says all.
    for words, name in (([], "libct"), (["run"], "libct-run"), (["pause"], "libct")):
        assert main(["man", *words]) == 0
        assert capfd.readouterr().out == PAGES[f"{name}.1"]
    assert main(["man", "--dir", "/nowhere", "run"]) == 1
    assert "--dir writes all pages: leave out the command" in capfd.readouterr().err
    assert main(["man", "rnu"]) == 1
    assert "no such command: 'rnu' (did you mean run?)" in capfd.readouterr().err


def test_on_a_terminal_man_shows_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.isatty", lambda fd: True)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program = tmp_path / "man"
    program.write_text('#!/bin/sh\necho "$@"\ncat\nexit 3\n')
    program.chmod(0o755)
    assert main(["man", "run"]) == 3
    assert capfd.readouterr().out == "-l -\n" + PAGES["libct-run.1"]
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["man", "run"]) == 0
    said = capfd.readouterr()
    assert said.out == PAGES["libct-run.1"]
    assert "man is not installed" in said.err


def test_all_that_is_shown_is_in_it() -> None:
    for command in COMMANDS.values():
        page = PAGES.get(f"libct-{command.name}.1")
        if page is None:
            assert [option.names[-1] for option in command.options] == ["--help"], command.name
            continue
        check_options(page, command.options)
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"):
            assert page.count(f"\n.SH {section}\n") == 1, (command.name, section)
        assert f"libct\\-{command.name} \\- " in page
    check_options(PAGES["libct.1"], GLOBAL_OPTIONS)


def check_options(page: str, options: Iterable[Option]) -> None:
    text = page.replace("\\-", "-")
    for option in options:
        for name in option.names:
            found = re.search(rf"\.TP\n(.*, )?\\fB{name}\\fR", text)
            assert (found is None) is option.hidden, name


def test_pages_refer_to_pages() -> None:
    for name, page in PAGES.items():
        text = re.sub(r"\\f[BR]", "", page).replace("\\-", "-")
        referred = {f"libct-{each}.1" for each in re.findall(r"\blibct-([\w-]+)\(1\)", text)}
        assert referred <= set(PAGES), name
        assert name == "libct.1" or "SEE ALSO\nlibct(1), " in text
        for topic in re.findall(r"\blibct help ([\w./-]+)", text):
            assert f"{topic.removesuffix('.md')}.md" in topics.TOPICS or topic == "TOPIC"
            assert topic not in NAMES  # of which the help would be shown
        if name == "libct.1":
            assert referred == set(PAGES) - {name}


@pytest.mark.parametrize("name", PAGES)
def test_groff_is_content(name: str) -> None:
    if shutil.which("groff") is None:
        if no_skip():
            pytest.fail("this machine lacks: groff")
        pytest.skip("this machine lacks: groff")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"],
        input=PAGES[name],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


@pytest.mark.parametrize("name", TEXTS)
def test_examples_are_command_lines(name: str) -> None:
    """Those of sandbox are run by tests/kernel/test_sandbox_seen.py."""
    found = []
    for line in EXAMPLES[name]:
        words = words_of(line.replace("$(libct", "$( libct").replace(')"', " #"))
        try:
            command = parse(words, GLOBAL_OPTIONS, COMMANDS).command if words else None
        except UsageError as error:
            pytest.fail(f"{line}: {error}")
        assert command is not None or not line.startswith("libct"), line
        found += [command.name] if command is not None else []
    assert name in found or not name


@pytest.mark.parametrize("name", ["seccomp", "plan"])
def test_examples_that_only_look_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bundle/rootfs").mkdir(parents=True)
    assert main(["spec", "--rootless", "-b", "bundle"]) == 0
    for line in EXAMPLES[name]:
        assert main(words_of(line)) == 0, capfd.readouterr().err


# --- libct help ---


def test_the_topics_are_the_pages_of_the_documentation() -> None:
    docs = CHECKOUT / "docs"
    found = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
    assert set(topics.TOPICS) == {path for path in found if not path.startswith("examples/")}


def test_help_shows_a_page(capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("ci", "ci.md", "docs/ci.md"):
        assert main(["help", name]) == 0
        assert capfd.readouterr().out == (CHECKOUT / "docs/ci.md").read_text()
    assert main(["help", "engines/podman"]) == 0
    assert capfd.readouterr().out.startswith("# ")
    assert main(["help", "sandbox"]) == 0
    assert capfd.readouterr().out.startswith("Usage: libct sandbox ")
    assert main(["help", "sandbox.md"]) == 0
    assert capfd.readouterr().out.startswith("# Sandboxes\n")


def test_help_of_what_is_neither_a_command_nor_a_page(capfd: pytest.CaptureFixture[str]) -> None:
    for name, hint in (
        ("rnu", "did you mean run?"),
        ("netwrok", "did you mean network?"),
        ("../README", "`libct --help` lists them"),
    ):
        assert main(["help", name]) == 1
        said = capfd.readouterr().err
        assert said == f"libct: no such command or page: {name!r} ({hint})\n"


def test_where_the_pages_are_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A project that has a copy of libct may have a docs/security.md of its own."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/security.md").write_text("of the project\n")
    monkeypatch.setattr(topics, "__file__", str(tmp_path / "libct/cli/help.py"))
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    assert main(["help", "security"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("libct: cannot show docs/security.md: this libct was installed without")

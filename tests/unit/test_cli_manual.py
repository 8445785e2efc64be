"""The man page: that of the repository is what the tables give, and groff accepts it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from libct.cli import main
from libct.cli.commands import COMMANDS, GLOBAL_OPTIONS
from libct.cli.manual import page
from tests.needs import no_skip
from tests.support import CHECKOUT


def test_the_page_of_the_repository_is_up_to_date(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["man"]) == 0
    printed = capfd.readouterr().out
    assert printed == page()
    kept = (CHECKOUT / "docs" / "libct.1").read_text()
    assert kept == printed, "python3 -m libct man >docs/libct.1"


def test_all_that_is_shown_is_in_it() -> None:
    text = page().replace("\\", "")
    for command in COMMANDS.values():
        assert (f".SS fB{command.name}fR" in text) is not command.hidden
    tables = [GLOBAL_OPTIONS, *(command.options for command in COMMANDS.values())]
    for option in (option for table in tables for option in table):
        shown = f"fB{option.names[-1]}fR" in text
        assert shown is not (option.hidden or option.names[-1] == "--help"), option.names


def test_groff_is_content() -> None:
    if shutil.which("groff") is None:
        if no_skip():
            pytest.fail("this machine lacks: groff")
        pytest.skip("this machine lacks: groff")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"],
        input=page(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""

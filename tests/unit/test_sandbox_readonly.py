"""Whether what a command prints is about its directory, which is read-only in a sandbox."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from libct.sandbox.options import read
from libct.sandbox.readonly import Refusals
from libct.sandbox.seen import read_only_directory

_WORDS = (b"Read-only file system", "schreibgeschützt".encode())


@pytest.mark.parametrize(
    ("pieces", "found"),
    [
        (["touch: cannot touch 'x': Read-only file system\n"], True),
        (["make: *** [Makefile:2: x.o] Error 1\n"], False),
        (["touch: cannot touch 'x': Read-", "only file", " system"], True),
        (["all is well\r\n", "sh: 1: cannot create x: Read-only file system\r\n"], True),
        (["cannot create /srv/work/sub/x: Read-only file system"], True),
        (["cannot create /usr/x: Read-only file system"], False),
        (["cannot create /srv/workshop/x: Read-only file system"], False),
        (["cannot create '/usr/x': Read-only file system\n", "x: Read-only file system\n"], True),
        (["OSError: [Errno 30] Read-only file system: 'x'\n"], True),
        (["OSError: [Errno 30] Read-only file system: '/usr/x'\n"], False),
        (["mv: /usr/a to sub/b: Read-only file system\n", "more"], False),
        (["touch: 'x': schreibgeschützt\n"], True),
        (["\n".join(["x" * 9000] * 3), "x: Read-only file system"], True),
    ],
)
def test_what_is_about_the_directory(pieces: list[str], found: bool) -> None:
    refusals = Refusals("/srv/work", _WORDS)
    for piece in pieces:
        refusals.see(piece.encode())
    assert refusals.found == found


def test_without_a_directory_nothing_is() -> None:
    refusals = Refusals("")
    refusals.see(b"x: Read-only file system")
    assert not refusals.found


def test_which_directory_is_read_only_unasked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    here = os.getcwd()
    assert read_only_directory(read({})) == here
    assert read_only_directory(read({"overlay": True})) == here  # a mount of its own on it
    assert read_only_directory(read({"ro": ["/usr"]})) == here
    asked = ({"ro": ["."]}, {"rw": [tmp_path]}, {"tmpfs": [here]}, {"cwd": "/usr"}, {"empty": True})
    for options in asked:
        assert read_only_directory(read(options)) == ""
    monkeypatch.chdir(tmp_path)  # which is hidden
    assert read_only_directory(read({})) == ""
    monkeypatch.chdir("/usr")
    assert read_only_directory(read({})) == "/usr"
    assert read_only_directory(read({"overlay": True})) == ""

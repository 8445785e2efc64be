"""Functions on paths, next to those of os that they stand for."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path

import pytest

from libct.loading import paths
from tests.processes import forked

PARTS = ("", "/", "a", ".", "..", "b c", "\udcff")
TEXTS = ["".join(parts) for count in range(7) for parts in itertools.product("/a.", repeat=count)]


def test_cleaning_and_splitting_are_as_with_os_path() -> None:
    for text in TEXTS:
        assert paths.normal(text) == os.path.normpath(text), text
        assert paths.absolute(text) == os.path.abspath(text), text
        directory, name = os.path.split(text)
        assert paths.split(text) == (directory, name)


def test_joining_is_as_with_os_path() -> None:
    for first, second in itertools.product(PARTS, repeat=2):
        assert paths.join(first, second) == os.path.join(first, second)


def test_looking_is_as_with_os_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("directory")
    (tmp_path / "broken").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "directory").mkdir()
    for name in ("file", "link", "broken", "loop", "directory", "none", "file/x", "a\0", "."):
        path = f"{tmp_path}/{name}"
        assert paths.exists(path) == os.path.exists(path)
        assert paths.is_directory(path) == os.path.isdir(path)
        if os.path.exists(path):
            assert paths.real(path) == os.path.realpath(path)
    assert paths.real(f"{tmp_path}/none/../none") == f"{tmp_path}/none"


def test_names_are_encoded_as_by_os() -> None:
    for text in ("a", "\xe4\u20ac", "\udcff", b"a\xff"):
        assert paths.fsencode(text) == os.fsencode(text)
    assert paths.fsdecode(b"a\xff\xc3\xa4") == os.fsdecode(b"a\xff\xc3\xa4")


def test_the_environment_is_that_of_os(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paths.environment("PATH") == os.environ["PATH"]
    assert paths.environment("LIBCT_NO_SUCH") == ""
    monkeypatch.setenv("LIBCT_NO_SUCH", "now")
    assert paths.environment("LIBCT_NO_SUCH") == "now"


def test_the_contents_of_a_file_and_of_pipes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100000)
    assert paths.contents(str(tmp_path / "file"), 200000) == b"x" * 100000
    assert paths.contents(str(tmp_path / "file"), 7) == b"x" * 7
    with pytest.raises(IsADirectoryError) as caught:
        paths.contents(str(tmp_path), 7)
    assert caught.value.filename == str(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    # It does not wait for a writer.
    assert forked(lambda: paths.contents(str(tmp_path / "fifo"), 7), timeout=5) == b""
    # With one it is read to its end, however slow he is, as a shell's <(command) is.
    writer = subprocess.Popen(
        ["sh", "-c", "echo one; sleep 0.2; echo two"], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert paths.contents(f"/proc/self/fd/{writer.stdout.fileno()}", 100) == b"one\ntwo\n"
    assert writer.wait() == 0
    writer.stdout.close()


def test_what_a_program_sets_in_its_environment_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By os.environ, of which posix.environ knows nothing."""
    monkeypatch.setenv("LIBCT_OF_A_TEST", "a\u00fc")
    assert paths.environment("LIBCT_OF_A_TEST") == "a\u00fc"
    monkeypatch.delenv("LIBCT_OF_A_TEST")
    assert paths.environment("LIBCT_OF_A_TEST") == ""

"""SELinux' labels of files, which are attributes that any kernel keeps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from libct.attributes.procfs import open_proc
from libct.bootstrap.context import Context
from libct.errors import StepProblem
from libct.rootfs import relabel as module
from libct.rootfs.binds import open_source
from libct.rootfs.relabel import label_mount, relabel

from ..support import CLONE_NEWNS, in_namespaces, mount, requires

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = requires("root")

NAME, LABEL = "security.selinux", "system_u:object_r:container_file_t:s0:c1,c2"


def labels(top: Path) -> dict[str, str]:
    found = {}
    for path in [top, *sorted(top.rglob("*"))]:
        try:
            text = os.getxattr(path, NAME, follow_symlinks=False).decode()
        except OSError:
            text = ""
        found[str(path.relative_to(top))] = text
    return found


def in_context(body: Callable[[Context], None], root: Path) -> None:
    def inside() -> None:
        context = Context({"root": os.open(root, os.O_PATH | os.O_DIRECTORY)})
        open_proc(context)
        body(context)

    in_namespaces(CLONE_NEWNS, inside)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "volume"
    (top / "one/two").mkdir(parents=True)
    (top / "file").write_text("")
    (top / "one/two/file").write_text("")
    os.mkfifo(top / "one/fifo")
    (top / "one/link").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("")
    return top


@pytest.mark.parametrize("slot", ["", "source 0"])
def test_all_files_of_a_mount_are_labelled_and_nothing_else(tree: Path, slot: str) -> None:
    def body(context: Context) -> None:
        if slot:
            open_source(context, slot, str(tree), False)
        relabel(context, str(tree), slot, LABEL)

    in_context(body, tree)
    assert labels(tree) == dict.fromkeys(
        (".", "file", "one", "one/fifo", "one/link", "one/two", "one/two/file"), LABEL
    )
    assert labels(tree.parent / "outside") == {".": "", "file": ""}


def test_a_single_file_is_labelled(tree: Path) -> None:
    in_context(lambda context: relabel(context, str(tree / "file"), "", LABEL), tree)
    assert labels(tree)["file"] == LABEL
    assert labels(tree)["."] == ""


def test_the_root_of_a_mount_is_labelled(tree: Path) -> None:
    def body(context: Context) -> None:
        mount("tmpfs", str(tree / "one"), "tmpfs")
        label_mount(context, "/one", LABEL)
        assert labels(tree / "one") == {".": LABEL}

    in_context(body, tree)
    assert labels(tree)["one"] == ""


def test_a_tree_that_is_too_deep_is_an_error(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DEEPEST", 2)

    def body(context: Context) -> None:
        with pytest.raises(StepProblem, match="deeper than 2"):
            relabel(context, str(tree), "", LABEL)

    in_context(body, tree)

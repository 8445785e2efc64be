"""Whose numbers lead to /proc/PID: one module sees to it that they are of this pid namespace."""

from __future__ import annotations

import ast
import os
from typing import TYPE_CHECKING

from libct.syscalls import procfs
from tests.support import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

# The others that make a path below /proc of something that is computed, and why they may.
ALLOWED = {
    "syscalls/procfs.py": "it looks whose /proc it is",
    "bootstrap/becoming.py": "by the number that /proc itself tells of a pidfd",
    # What the runtime, the server and a lender do within a start, which has looked.
    "bootstrap/lending.py": "the process that it lends to",
    "bootstrap/mapping.py": "the process that was cloned",
    "bootstrap/joining.py": "the one that is entered",
    # Not of a process.
    "attributes/procfs.py": "messages",
    "plan/namespaces.py": "messages",
}


def _computed(tree: ast.AST) -> Iterator[str]:
    """What makes a path /proc/PID, or lists /proc."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and node.values:
            first, *more = node.values
            text = first.value if isinstance(first, ast.Constant) else ""
            if more and str(text).endswith("/proc/"):
                yield ast.unparse(node)
        elif isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant):
            if str(node.left.value).startswith("/proc/"):
                yield ast.unparse(node)
        elif isinstance(node, ast.Call):
            call = ast.unparse(node)
            if "('/proc'" in call and ast.unparse(node.func).endswith(("listdir", "scandir")):
                yield call


def test_one_module_makes_the_paths_of_processes() -> None:
    package = CHECKOUT / "libct"
    found = {
        str(path.relative_to(package)): list(_computed(ast.parse(path.read_text())))
        for path in package.rglob("*.py")
    }
    assert {name for name, paths in found.items() if paths} == set(ALLOWED)


def test_computed_paths_are_found() -> None:
    for text in ('f"/proc/{pid}/stat"', '"/proc/%d" % pid', '"/proc/" + name', 'listdir("/proc")'):
        assert list(_computed(ast.parse(text))), text
    for text in ('"/proc/self/stat"', 'f"/proc/self/fd/{fd}"', 'listdir("/proc/self/fd")'):
        assert not list(_computed(ast.parse(text))), text


def test_our_own_proc() -> None:
    procfs.require_own_proc()
    procfs.require_own_children()
    assert procfs.path(7, "stat") == "/proc/7/stat"
    assert os.getpid() in procfs.numbers()

"""The advice that libct's errors give, as it stands in the code.

Advice is what hints.py returns, the second argument of StepProblem and its kin and of hinted() and
advise(), and what is assigned to a `hint`.  A name stands for all texts that a module gives it.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from .commands import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORTEST = 12  # characters; what is between two places of a format and shorter tells nothing
# Calls whose second argument is advice.
_ADVISING = ("StepProblem", "SystemdError", "ServerProblem", "hinted", "advise")


def advice() -> dict[str, list[str]]:
    """Module -> the pieces of text that its advice is put together from."""
    found = {}
    for path in sorted((CHECKOUT / "libct").rglob("*.py")):
        module = str(path.relative_to(CHECKOUT / "libct"))
        if texts := list(dict.fromkeys(_of_module(module, ast.parse(path.read_text())))):
            found[module] = texts
    return found


def _of_module(module: str, tree: ast.Module) -> Iterator[str]:
    given = _assigned(tree)
    for node in ast.walk(tree):
        for value in _advising(module, node):
            for part in _parts(value, given, set()):
                if len(part.strip()) >= _SHORTEST:
                    yield " ".join(part.split())


def _advising(module: str, node: ast.AST) -> Iterator[ast.expr]:
    """The expressions of a node that are advice."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in _ADVISING and len(node.args) > 1:
            yield node.args[1]
        yield from (word.value for word in node.keywords if word.arg == "hint")
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if ast.unparse(target).rpartition(".")[2] in ("hint", "hints"):
                yield node.value
    elif module == "bootstrap/hints.py" and isinstance(node, ast.Return) and node.value is not None:
        yield node.value


def _assigned(tree: ast.Module) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                found.setdefault(ast.unparse(target), []).append(node.value)
        elif isinstance(node, ast.FunctionDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    found.setdefault(f"{node.name}()", []).append(inner.value)
    return found


def _parts(node: ast.AST, given: dict[str, list[ast.expr]], seen: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield from node.value.split("{}")
    elif isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield from _parts(value, given, seen)
    elif isinstance(node, (ast.Name, ast.Call)):
        name = ast.unparse(node) if isinstance(node, ast.Name) else f"{ast.unparse(node.func)}()"
        if name not in seen:
            for value in given.get(name, []):
                yield from _parts(value, given, seen | {name})
    elif isinstance(node, (ast.Compare, ast.Subscript)):
        pass  # what is compared, and keys
    elif isinstance(node, ast.IfExp):
        yield from _parts(node.body, given, seen)
        yield from _parts(node.orelse, given, seen)
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from _parts(value, given, seen)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _parts(child, given, seen)

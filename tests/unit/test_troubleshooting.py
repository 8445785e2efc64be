"""docs/troubleshooting.md has all advice that libct's errors give."""

from __future__ import annotations

import ast

from ..advice import _of_module, advice
from ..commands import CHECKOUT


def plain(text: str) -> str:
    """Without what a page marks code by, and with single spaces."""
    return " ".join(text.replace("`", "").replace("\\", "").split())


def test_all_advice_is_on_the_page() -> None:
    page = plain((CHECKOUT / "docs/troubleshooting.md").read_text())
    found = advice()
    missing = [
        f"{module}: {text}"
        for module, texts in found.items()
        for text in texts
        if plain(text).strip("(),;: ") not in page
    ]
    assert missing == []
    assert len(found["bootstrap/hints.py"]) > 20
    assert sum(map(len, found.values())) > 90


def test_advice_is_found_however_it_is_given() -> None:
    module = """
_TEXT = "a text that has a name"
def f(code):
    hint = "a text for a variable" if code else f"about {code} a second text"
    raise StepProblem("what is wrong", _TEXT)
def g(error):
    hints = {1: "a text of a table"}
    return hinted(error, _text(error))
def _text(error):
    return "a text of " + "another function"
"""
    assert set(_of_module("x.py", ast.parse(module))) == {
        "a text that has a name",
        "a text for a variable",
        "a second text",
        "a text of a table",
        "another function",
    }

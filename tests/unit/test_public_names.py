"""The names of the package: each resolves, whatever was imported before."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import libct
from tests.commands import CHECKOUT


@pytest.mark.parametrize("name", libct.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(libct, name) is not None or name == "interpreter"


@pytest.mark.parametrize("name", libct.__all__)
def test_calls_of_every_public_name_are_type_checked(name: str) -> None:
    text = (CHECKOUT / "tests" / "typed_calls.py").read_text()
    assert re.search(rf"\b(libct\.{name}|{name},)(?!\w)", text)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        libct.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    "first", ["libct.plan", "libct.create", "__import__('libct.life.container')"]
)
def test_plan_can_be_called_whatever_came_before(first: str) -> None:
    """It is the name of a room as well, which an import puts in its place."""
    code = (
        f"import libct; {first}; "
        "config = libct.Config('/', namespaces=[libct.Namespace(libct.NEWNS)]); "
        "print(len(libct.plan(config)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert run.stdout.strip().isdigit(), run.stderr


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import libct, sys; print([m for m in sys.modules if m.startswith('libct.')])"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"

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


@pytest.fixture(scope="module")
def names_of_the_page() -> str:
    return (CHECKOUT / "docs/library.md").read_text().partition("\n## All public names\n")[2]


@pytest.mark.parametrize("name", libct.__all__)
def test_every_public_name_is_documented(name: str, names_of_the_page: str) -> None:
    assert re.search(rf"`{name}[`(]", names_of_the_page)


@pytest.mark.parametrize("name", ["Container", "Process", "Sandbox", "Popen", "Events"])
def test_every_method_is_documented(name: str, names_of_the_page: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` .*$", names_of_the_page, re.MULTILINE)
    said = set(re.findall("`([a-z_]+)`", row))
    kind = getattr(libct, name)
    there = {each for each in (*dir(kind), *vars(kind)) if not each.startswith("_")}
    assert there == said


def test_the_page_names_nothing_that_is_not_there(names_of_the_page: str) -> None:
    rows = [line for line in names_of_the_page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall("`([A-Za-z_]+)[`(]", row.split("|")[1])}
    assert named - {"findings"} == set(libct.__all__)


def test_the_fields_of_the_page_are_those_of_a_configuration(names_of_the_page: str) -> None:
    table = names_of_the_page.partition("\n### Records of a configuration\n")[2].partition("\n###")[
        0
    ]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    fields = [field for row in rows for field in re.findall("`([a-z_]+)`", row.split("|")[2])]
    assert len(fields) > 15
    config = libct.Config("/")
    assert [field for field in fields if not hasattr(config, field)] == []


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

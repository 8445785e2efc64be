"""docs/security.md names what there is: attacks with their counter-measures, modules and tests."""

from __future__ import annotations

import re

from ..commands import CHECKOUT
from ..kernel.cves import CASES

PAGE = (CHECKOUT / "docs/security.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_each_attack_is_tried_and_its_counter_measure_taken_out() -> None:
    named = {}
    for attack, _, where, name in rows("Attacks that other runtimes have had"):
        cves = tuple(attack.partition(":")[0].split(", "))
        named[name.strip("`")] = (cves, where.strip("`"))
    assert {name: cves for name, (cves, _) in named.items()} == {
        name: case.cves for name, case in CASES.items()
    }
    for name, (_, where) in named.items():
        assert where in {file for file, _, _ in CASES[name].edits}


def test_each_invariant_has_its_tests() -> None:
    table = rows("The invariants of what enters")
    assert [text.partition(".")[0] for text, _ in table] == [str(at) for at in range(1, 11)]
    for _, tests in table:
        file = ""
        for name in re.findall(r"`([^`]+)`", tests):
            path, _, test = name.partition("::")
            file = path or file
            text = (CHECKOUT / "tests/kernel" / file).read_text()
            assert not test or f"def {test}(" in text, name


def test_all_modules_and_tests_are_there() -> None:
    for path in re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", PAGE):
        assert (CHECKOUT / "libct" / path).exists() or (CHECKOUT / path).exists(), path

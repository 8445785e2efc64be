"""The tables of mutants fit the code; whether the tests notice them, tests/mutants.py tries."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ..mutant_tables import Mutant
from ..mutants import CHECKOUT, MUTANTS, mutated


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.claim)
def test_a_mutant_is_one_edit_that_python_reads(mutant: Mutant) -> None:
    text = (CHECKOUT / "libct" / mutant.file).read_text()
    changed = mutated(mutant, text)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text))
    assert mutant.tests
    for name in mutant.tests:
        file, _, test = name.partition("::")
        test = test.partition("[")[0].rpartition("::")[2]
        assert (
            f"def {test}" in (CHECKOUT / file).read_text() if test else Path(file).suffix == ".py"
        )


def test_no_claim_is_made_twice() -> None:
    claims = [mutant.claim for mutant in MUTANTS]
    assert sorted(set(claims)) == sorted(claims)


def test_a_table_that_does_not_fit_is_told() -> None:
    with pytest.raises(ValueError, match="has 'x = 1' 0 times, not once"):
        mutated(Mutant("nothing", "a.py", "x = 1", "x = 2", ()), "y = 1\n")

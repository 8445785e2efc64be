"""The table of features: its modules and tests are there, and `libct features` says the same."""

from __future__ import annotations

from typing import Any

import libct
from libct.oci.features import features
from tests.commands import CHECKOUT
from tests.rows import HEADING, PAGE, ROWS, page

# Versions and annotations are no features.
_OTHERS = ("ociVersionMin", "ociVersionMax", "annotations", "potentiallyUnsafeConfigAnnotations")


def test_modules_and_tests_are_there() -> None:
    for row in ROWS:
        assert bool(row.module) is bool(row.tests), row.feature
        if row.module:
            assert (CHECKOUT / "libct" / row.module).is_file(), row.feature
            assert "def test_" in (CHECKOUT / "tests" / row.tests).read_text(), row.feature


def test_no_feature_is_there_twice() -> None:
    names = [row.feature for row in ROWS]
    assert sorted(set(names)) == sorted(names)


def test_features_says_the_same() -> None:
    found: dict[str, Any] = {}
    for key, value in features(libct.__version__).items():
        if key not in ("linux", *_OTHERS):
            found[key] = value
    for key, value in features(libct.__version__)["linux"].items():
        if key == "cgroup":
            found.update({f"linux.cgroup.{name}": claim for name, claim in value.items()})
        else:
            found[f"linux.{key}"] = value
    claimed = [key for row in ROWS for key in row.keys]
    assert sorted(claimed) == sorted(found)
    for row in ROWS:
        for key in row.keys:
            value = found[key]
            on = value.get("enabled", True) if isinstance(value, dict) else bool(value)
            assert on is bool(row.module), key


def test_the_page_has_the_table() -> None:
    text = PAGE.read_text()
    assert HEADING in text
    assert text == page(text), "python3 -m tests.rows"

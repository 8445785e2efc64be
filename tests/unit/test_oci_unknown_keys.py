"""Keys that no version of the runtime-spec has, and the table of those that one has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from libct.errors import Finding
from libct.oci import spec_keys
from libct.oci.default_spec import default_spec
from libct.oci.unknown_keys import unknown_keys
from tests.make_spec_keys import Schema, written

from .test_oci_load import FULL
from .test_oci_schema import FOLDER, examples

UNKNOWN = "unknown key: no version of the runtime-spec has it"


def test_the_table_is_that_of_the_schema() -> None:
    if not (FOLDER / "config-schema.json").is_file():
        pytest.skip(f"no schemas of the runtime-spec in {FOLDER}")
    assert written(Schema(FOLDER).keys()) == Path(spec_keys.__file__).read_text()


def test_what_is_right_is_not_told() -> None:
    for spec in (FULL, default_spec(), default_spec(rootless=True)):
        assert unknown_keys(spec) == []
    for path in examples("good"):
        from libct.loading.jsontext import loads

        assert unknown_keys(loads(path.read_bytes(), path.name)) == [], path


@pytest.mark.parametrize(
    ("spec", "place", "hint"),
    [
        ({"hostnam": "a"}, "hostnam", "hostname"),
        ({"linux": {"maskedpath": []}}, "linux.maskedpath", "maskedPaths"),
        ({"mounts": [{}, {"destinaton": "/"}]}, "mounts[1].destinaton", "destination"),
        ({"process": {"noNewPrivilege": True}}, "process.noNewPrivilege", "noNewPrivileges"),
        (
            {"linux": {"resources": {"rdma": {"any": {"xyz": 1}}}}},
            "linux.resources.rdma.any.xyz",
            "",
        ),
        ({"hooks": {"prestart": [{"quux": 1}]}}, "hooks.prestart[0].quux", ""),
    ],
)
def test_an_unknown_key_is_told_with_what_was_meant(
    spec: dict[str, Any], place: str, hint: str
) -> None:
    meant = f" (did you mean {hint}?)" if hint else ""
    assert unknown_keys(spec) == [Finding(place, UNKNOWN + meant, "warning")]


@pytest.mark.parametrize(
    "spec",
    [
        {"HostName": "a"},  # which is read
        {"annotations": {"any.thing": "x"}},
        {"linux": {"sysctl": {"net.x": "1"}, "resources": {"unified": {"a.b": "1"}}}},
        {"windows": {"what": {"ever": 1}}},
        {"hooks": [1], "mounts": {"destination": 1}, "linux": None},
    ],
)
def test_names_of_other_things_are_no_keys(spec: dict[str, Any]) -> None:
    assert unknown_keys(spec) == []

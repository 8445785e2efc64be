"""The maps of an ordinary user's container whose configuration has none."""

from __future__ import annotations

import os
from typing import Any

import pytest

from libct.config import IDMap, Namespace
from libct.oci.automatic_maps import mappings
from libct.oci.load import config_from_spec


@pytest.mark.parametrize(
    ("inside", "ranges", "expected"),
    [
        (0, [], [(0, 1000, 1)]),
        (0, [(100000, 65536)], [(0, 1000, 1), (1, 100000, 65536)]),
        (0, [(500, 2), (700, 3)], [(0, 1000, 1), (1, 500, 2), (3, 700, 3)]),
        (7, [(100000, 100)], [(0, 100000, 7), (7, 1000, 1), (8, 100007, 93)]),
        (2, [(500, 2), (700, 3)], [(0, 500, 2), (2, 1000, 1), (3, 700, 3)]),
        (3, [(500, 2), (700, 3)], [(0, 500, 2), (2, 700, 1), (3, 1000, 1), (4, 701, 2)]),
        (5, [(500, 5)], [(0, 500, 5), (5, 1000, 1)]),
        # Not enough of them below it: the user is root, and the process has no id.
        (9, [(500, 5)], [(0, 1000, 1), (1, 500, 5)]),
        (9, [], [(0, 1000, 1)]),
    ],
)
def test_the_user_and_subordinate_ids_fill_the_namespace(
    inside: int, ranges: list[tuple[int, int]], expected: list[tuple[int, int, int]]
) -> None:
    assert mappings(1000, inside, ranges) == [IDMap(*row) for row in expected]


def load(rootless: bool, namespaces: list[dict[str, Any]], **linux: Any) -> Any:
    spec = {"ociVersion": "1.0.2", "root": {"path": "/r"}}
    spec["linux"] = {"namespaces": namespaces, **linux}
    return config_from_spec(spec, bundle="/b", rootless_euid=rootless)[0]


def test_what_a_configuration_says_stays() -> None:
    maps = [{"containerID": 0, "hostID": 7, "size": 1}]
    given = load(True, [{"type": "user"}], uidMappings=maps, gidMappings=maps)
    assert (given.uid_mappings, given.gid_mappings) == ([IDMap(0, 7, 1)], [IDMap(0, 7, 1)])
    joined = load(True, [{"type": "user", "path": "/proc/7/ns/user"}])
    assert joined.namespaces == [Namespace("NEWUSER", "/proc/7/ns/user")]
    assert (joined.uid_mappings, joined.gid_mappings) == ([], [])
    for namespaces in ([], [{"type": "user"}]):
        privileged = load(False, namespaces)
        assert len(privileged.namespaces) == len(namespaces)
        assert (privileged.uid_mappings, privileged.gid_mappings) == ([], [])


def test_an_ordinary_user_has_a_user_namespace() -> None:
    for namespaces in ([], [{"type": "user"}]):
        made = load(True, namespaces)
        assert made.namespaces == [Namespace("NEWUSER")]
        # Of root nothing more is mapped here: he needs no help.
        if os.geteuid() == 0:
            assert made.uid_mappings == made.gid_mappings == [IDMap(0, 0, 1)]

"""Id mappings in an option of a mount (crun)."""

from __future__ import annotations

import pytest

from libct.config import IDMap
from libct.config.mount import MountIDMapping
from libct.errors import ConfigError
from libct.oci.inline_maps import read_inline
from libct.oci.load import config_from_spec

OWN = {"uids": [IDMap(0, 0, 1), IDMap(1, 2, 1000)], "gids": [IDMap(0, 5000, 10)]}


def test_of_the_manual() -> None:
    assert read_inline("uids=0-1-10#10-11-10;gids=0-100-10", OWN) == {
        "uids": [IDMap(0, 1, 10), IDMap(10, 11, 10)],
        "gids": [IDMap(0, 100, 10)],
    }
    assert read_inline("uids=@1-3-10", OWN) == {"uids": [IDMap(1, 4, 10)]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not uids= or gids="),
        ("pids=0-1-1", "not uids= or gids="),
        ("uids=0-1-1;uids=0-1-1", "not uids= or gids=, each once"),
        ("uids=", "not ID-ID-COUNT"),
        ("uids=0-1", "not ID-ID-COUNT"),
        ("uids=0--1-1", "not ID-ID-COUNT"),
        ("uids=0-x-1", "not ID-ID-COUNT"),
        ("uids=@0-0-2", "not within one mapping"),
        ("gids=@0-10-1", "not within one mapping"),
    ],
)
def test_what_is_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_inline(text, OWN)


def mapping(option: str, **fields: object) -> MountIDMapping | None:
    mount = {"destination": "/x", "source": "/x", "options": ["bind", option], **fields}
    spec = {"ociVersion": "1.0.2", "root": {"path": "/r"}, "mounts": [mount]}
    return config_from_spec(spec, bundle="/")[0].mounts[0].id_mapping


def test_a_mount_has_them() -> None:
    one = [IDMap(0, 1, 1)]
    assert mapping("idmap=uids=0-1-1;gids=0-1-1") == MountIDMapping(False, "", one, one)
    assert mapping("ridmap=uids=0-1-1") == MountIDMapping(True, "", one)
    # Those of the runtime-spec win, as with crun.
    fields = {
        f"{kind}Mappings": [{"containerID": 7, "hostID": 8, "size": 9}] for kind in ("uid", "gid")
    }
    given = [IDMap(7, 8, 9)]
    assert mapping("idmap=uids=0-1-1", **fields) == MountIDMapping(False, "", given, given)
    with pytest.raises(ConfigError, match=r"mounts\[0\].options: idmap=uids=x: not ID-ID-COUNT"):
        mapping("idmap=uids=x")

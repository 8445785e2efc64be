"""`libct spec --from`: a bundle like a container that exists, and it runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support import libct, make_bundle, requires, unique

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


def test_a_bundle_like_a_container(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, args=["sleep", "100"])
    name, again = unique(), unique()
    copy = tmp_path / "copy"
    copy.mkdir()
    libct("create", "-b", bundle, name, check=True)
    try:
        libct("spec", "-b", copy, "--from", name, check=True)
    finally:
        libct("delete", "--force", name, check=True)
    old, new = (json.loads((at / "config.json").read_text()) for at in (bundle, copy))
    assert new["process"]["args"] == ["sh"]  # what the first one runs is not kept
    assert new["process"]["env"] == old["process"]["env"]
    assert new["linux"]["namespaces"] == old["linux"]["namespaces"]
    new["process"]["args"], new["process"]["terminal"] = ["echo", "it runs"], False
    (copy / "config.json").write_text(json.dumps(new))
    assert libct("run", "-b", copy, again, check=True).stdout == "it runs\n"

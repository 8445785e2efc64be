"""`libct features`: true to the code, and as the runtime-spec's schema has it."""

from __future__ import annotations

import json

import pytest

import libct
from libct.cli import main
from libct.config import Config, Hooks
from libct.config.mount import Mount
from libct.config.seccomp import Seccomp
from libct.errors import Finding, Unsupported
from libct.life.unsupported import refuse_unsupported
from libct.oci.features import features
from libct.oci.load_linux import read_landlock
from libct.oci.mount_options import apply_options
from libct.oci.names import HOOKS

from .test_oci_schema import Schema, schema as schema  # a fixture


def test_the_schema_knows_all_of_it(schema: Schema) -> None:
    name = "features-schema.json"
    assert schema.problems(features(libct.__version__), schema.file(name), name, "") == []


def test_the_command_prints_it(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["features"]) == 0
    assert json.loads(capfd.readouterr().out) == features(libct.__version__)


def test_versions() -> None:
    found = features(libct.__version__)
    assert (found["ociVersionMin"], found["ociVersionMax"]) == ("1.0.0", "1.3.0")


def test_mount_options_are_those_that_no_file_system_gets() -> None:
    found = features(libct.__version__)["mountOptions"]
    assert found == sorted(set(found))
    assert {"ro", "rbind", "rprivate"} < set(found)
    for option in found:
        mount = Mount("/mnt")
        apply_options(mount, [option])
        assert mount.data == "", option
    for option in ("z", "Z", "size=5", "mode=700"):
        assert option not in found


def test_what_is_refused_is_not_claimed() -> None:
    found = features(libct.__version__)
    for name, field in HOOKS.items():
        config = Config("/", hooks=Hooks.from_dict({field: [{"path": "/bin/true"}]}))
        assert (name in found["hooks"]) is not _is_refused(config)
    refused = _is_refused(Config("/", seccomp=Seccomp("SCMP_ACT_ALLOW")))
    assert found["linux"]["seccomp"]["enabled"] is not refused
    if refused:
        assert list(found["linux"]["seccomp"]) == ["enabled"]


def _is_refused(config: Config) -> bool:
    try:
        refuse_unsupported(config, None)
    except Unsupported:
        return True
    return False


def test_what_there_is() -> None:
    linux = features(libct.__version__)["linux"]
    assert linux["namespaces"] == [
        *("cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts")
    ]
    assert "CAP_CHECKPOINT_RESTORE" in linux["capabilities"]
    assert (linux["cgroup"]["v1"], linux["cgroup"]["v2"]) == (True, True)
    assert linux["mountExtensions"]["idmap"]["enabled"] is True
    assert "MPOL_BIND" in linux["memoryPolicy"]["modes"]


def test_the_fields_of_the_landlock_annotation() -> None:
    fields = features(libct.__version__)["annotations"]["org.libct.landlock"].split(",")
    for field in fields:
        findings: list[Finding] = []
        read_landlock(json.dumps({field: None}), findings)
        assert findings == []

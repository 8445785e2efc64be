"""Filters by crun's annotations: a program that is there already, and strict names."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from libct.config import Config
from libct.config.annotations import (
    SECCOMP_PLUGINS,
    SECCOMP_PROGRAM,
    SECCOMP_RECEIVER,
    SECCOMP_STRICT,
)
from libct.config.seccomp import Seccomp, SeccompRule
from libct.errors import ConfigError, Unsupported
from libct.life.unsupported import refuse_unsupported
from libct.oci.dump import spec_from_config
from libct.oci.load import config_from_spec
from libct.plan.seccomp import filter_steps
from libct.seccomp.actions import ALLOW
from libct.seccomp.instructions import JEQ, LD_ABS, MAX_INSTRUCTIONS, RET_K, encode

EVERYTHING = [(RET_K, 0, 0, ALLOW)]


def text(program: list[tuple[int, int, int, int]]) -> str:
    return base64.b64encode(encode(program)).decode()


def load(annotations: dict[str, str], seccomp: dict[str, Any] | None = None) -> Config:
    linux = {"seccomp": seccomp} if seccomp else {}
    spec = {"ociVersion": "1.0.2", "root": {"path": "/x"}, "linux": linux}
    return config_from_spec({**spec, "annotations": annotations}, bundle="/b")[0]


def rules(*names: str, **more: Any) -> Seccomp:
    rule = SeccompRule(list(names), "SCMP_ACT_ERRNO")
    return Seccomp("SCMP_ACT_ALLOW", syscalls=[rule], **more)


def test_a_program_is_loaded_as_it_is() -> None:
    program = [(LD_ABS, 0, 0, 0), (JEQ, 0, 1, 83), *EVERYTHING, *EVERYTHING]
    for seccomp in (None, {"defaultAction": "SCMP_ACT_KILL"}):
        config = load({SECCOMP_PROGRAM: text(program)}, seccomp)
        assert config.seccomp is not None
        (step,) = filter_steps(config.seccomp, shown=False)
        assert step.args[0] == encode(program).hex()
        assert spec_from_config(config)["annotations"] == {SECCOMP_PROGRAM: text(program)}


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("%%%", "not base64"),
        ("é", "not base64"),
        (text(EVERYTHING) + "\n", "not base64"),
        (text(EVERYTHING)[:8], "a program is a multiple of 8 bytes, not 6"),
        (text(EVERYTHING * (MAX_INSTRUCTIONS + 1)), "a program has 1 to 4096 instructions"),
        (text([(JEQ, 0, 3, 1), *EVERYTHING]), "instruction 0: jumps out of the program"),
        (text([(LD_ABS, 0, 0, 0)]), "the last instruction does not return"),
        (text([(0x30, 0, 0, 0), *EVERYTHING]), "instruction 0: unknown code 0x30"),
    ],
)
def test_what_the_kernel_would_not_take_is_refused(program: str, message: str) -> None:
    config = load({SECCOMP_PROGRAM: program})
    assert config.seccomp is not None
    with pytest.raises(ConfigError, match=f"annotations.{SECCOMP_PROGRAM}: {message}"):
        filter_steps(config.seccomp, shown=False)


def test_names_that_no_architecture_has_are_refused_if_that_is_asked() -> None:
    known = ("mkdir", "arm_fadvise64_64", "s390_pci_mmio_read")
    strict, usual = (rules(*known, strict=one) for one in (True, False))
    assert filter_steps(strict, shown=False) == filter_steps(usual, shown=False)
    filter_steps(rules("mkdir", "no_such"), shown=False)
    with pytest.raises(ConfigError) as caught:
        filter_steps(rules("mkdir", "no_such", strict=True), shown=False)
    place = "linux.seccomp: syscalls[0].names[1]"
    assert str(caught.value).endswith(f"{place}: unknown system call 'no_such'")


@pytest.mark.parametrize(("value", "strict"), [("1", True), ("", True), ("0", False)])
def test_strictness_is_an_annotation(value: str, strict: bool) -> None:
    config = load({SECCOMP_STRICT: value}, {"defaultAction": "SCMP_ACT_ALLOW"})
    assert config.seccomp is not None
    assert config.seccomp.strict is strict
    assert load({SECCOMP_STRICT: value}).seccomp is None
    dumped = spec_from_config(Config("/x", seccomp=rules("mkdir", strict=strict)))
    assert dumped.get("annotations", {}) == ({SECCOMP_STRICT: "1"} if strict else {})


def test_plugins_are_refused_by_name() -> None:
    config = load({SECCOMP_PLUGINS: "/usr/lib/plugin.so"})
    with pytest.raises(Unsupported, match=f"annotations.{SECCOMP_PLUGINS}: not supported"):
        refuse_unsupported(config, None)


@pytest.mark.parametrize(("path", "expected"), [({}, "/run/a"), ({"listenerPath": "/b"}, "/b")])
def test_the_receiver_of_notifications_is_the_listener_where_none_is_named(
    path: dict[str, str], expected: str
) -> None:
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], **path}
    config = load({SECCOMP_RECEIVER: "/run/a"}, profile)
    assert config.seccomp is not None
    assert config.seccomp.listener_path == expected

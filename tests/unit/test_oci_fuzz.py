"""Damaged configurations: a ConfigError or success, and never another exception."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from libct.config.validate import validate, validate_process
from libct.errors import ConfigError
from libct.life.process import Process
from libct.loading.jsontext import dumps, loads
from libct.oci.default_spec import default_spec
from libct.oci.dump import spec_from_config
from libct.oci.load import config_from_spec
from libct.oci.load_process import process_arguments

from .test_config_validate import MadeUp
from .test_oci_load import FULL, GOOD
from .test_oci_schema import examples

ODD: list[Any] = [
    None, True, False, 0, -1, 1, 7, 1.5, 1e300, 65536, 1 << 31, 1 << 32, -(1 << 63), 1 << 64,
    10**400, "", "0", "-1", "a", "/", "/a", "../..", "a/b", ".", "..", "\0", "a\0b", "\ud83d",
    "\udc80", "ä", "a" * 300, "=", "a=b", ",", "1-", "0-99999999999", "user", "mount", "bind",
    "rbind", "idmap", "tmpcopyup", "RLIMIT_CPU", "CAP_KILL", "SCMP_ACT_NOTIFY", [], {}, [[]],
    [None], [1], ["a"], {"a": 1}, {"": ""}, [{}], {"path": "/x", "type": "user"},
]  # fmt: skip


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a value of JSON."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        found.append((value, key))
        if isinstance(item, (dict, list)):
            found += places(item)
    return found


def damaged(spec: dict[str, Any], source: random.Random, changes: int) -> dict[str, Any]:
    """A copy in which some values are odd, gone, doubled, or moved elsewhere."""
    spec = copy.deepcopy(spec)
    for _ in range(changes):
        if not places(spec):
            break
        holder, key = source.choice(places(spec))
        kind = source.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.append(copy.deepcopy(source.choice(holder)))
        elif kind == 2:
            other, name = source.choice(places(spec))
            holder[key] = copy.deepcopy(other[name])
        elif kind == 3 and isinstance(holder, dict):
            holder[source.choice([odd for odd in ODD if isinstance(odd, str)])] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(source.choice(ODD))
    return spec


def judge(spec: dict[str, Any], *, systemd: bool = False) -> bool:
    """Load and validate; False for a ConfigError. What is found good must survive the way back."""
    process = spec.get("process")
    try:
        process_arguments(process)  # type: ignore[arg-type]
    except ConfigError as error:
        check_messages(error)
    try:
        options = {"id": "x", "systemd": systemd, "rootless_cgroups": False}
        config, arguments = config_from_spec(spec, bundle="/b", rootless_euid=False, **options)  # type: ignore[arg-type]
    except ConfigError as error:
        check_messages(error)
        return False
    findings = validate(config, MadeUp())
    if arguments:
        findings += validate_process(Process(**arguments), config)
    check_messages(ConfigError(findings))
    assert type(config).from_dict(loads(dumps(config.to_dict()), "x")) == config
    if not findings:
        again = spec_from_config(config, arguments)
        assert config_from_spec(again, bundle="/b", rootless_euid=False, **options)[0] == config  # type: ignore[arg-type]
    return not findings


def check_messages(error: ConfigError) -> None:
    assert bool(error.findings) == bool(str(error))
    for finding in error.findings:
        assert isinstance(finding.place, str)
        assert "\n" not in finding.message
        assert "\0" not in finding.message


@pytest.mark.parametrize("seed", range(3))
def test_damaged_configurations(seed: int) -> None:
    source = random.Random(seed)
    originals = [FULL, GOOD, default_spec(), default_spec(rootless=True)]
    for path in examples("good"):  # none, where the schema is not there
        originals.append(loads(path.read_bytes(), path.name))
    good = 0
    for number in range(300):
        spec = damaged(source.choice(originals), source, source.choice((1, 1, 2, 3, 8)))
        good += judge(spec, systemd=number % 5 == 0)
    # Otherwise the damage is so bad that only the first check is ever reached.
    assert 10 < good < 250


def test_damaged_texts() -> None:
    source = random.Random(5)
    text = dumps(default_spec()).encode()
    refused = 0
    for _ in range(400):
        changed = bytearray(text)
        for _ in range(source.randrange(1, 6)):
            changed[source.randrange(len(changed))] = source.randrange(256)
        try:
            spec = loads(bytes(changed), "config.json")
            config_from_spec(spec, bundle="/b")
        except ConfigError as error:
            check_messages(error)
            refused += 1
    assert 100 < refused < 400

"""The runtime-spec's JSON Schema and its examples, as a judge from outside.

They are not ours and not in the repository: LIBCT_OCI_SCHEMA names the folder
(schema/ of github.com/opencontainers/runtime-spec), or it is at
../shared/oci/schema beside the checkout.  Without it these tests skip.
"""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest

from libct.errors import ConfigError
from libct.loading.jsontext import loads
from libct.oci.default_spec import default_spec
from libct.oci.dump import spec_from_config
from libct.oci.load import config_from_spec

from ..support import CHECKOUT
from .test_oci_load import FULL, GOOD

FOLDER = Path(os.environ.get("LIBCT_OCI_SCHEMA", Path(CHECKOUT).parent / "shared/oci/schema"))

# In the schema's folder: good for its own platform, of which we are none.
OTHER_PLATFORMS = {
    "freebsd-example.json",
    "freebsd-minimal.json",
    "zos-example.json",
    "zos-minimal.json",
}

# Bad by the schema, and no matter of types and names: validation refuses it, not the loader.
LEFT_TO_VALIDATION = {"linux-hugepage.json": "linux.resources.hugepageLimits[0].pageSize"}


@pytest.fixture(scope="module")
def schema() -> Schema:
    if not (FOLDER / "config-schema.json").is_file():
        # Also under LIBCT_NO_SKIP: nobody but the spec's authors can provide it.
        pytest.skip(f"no schemas of the runtime-spec in {FOLDER}")
    return Schema(FOLDER)


class Schema:
    """A checker for the parts of JSON Schema, draft 4, that the runtime-spec's schemas use.

    problems() gives one line for each place where a value does not match.
    """

    known = frozenset((
        "$ref", "$schema", "description", "id", "type", "properties", "required", "items", "enum",
        "pattern", "anyOf", "oneOf", "allOf", "additionalProperties", "patternProperties",
        "minimum", "maximum", "minItems", "definitions", "not",
    ))  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, Any] = {}

    def file(self, name: str) -> Any:
        if name not in self.files:
            self.files[name] = json.loads((self.folder / name).read_text())
        return self.files[name]

    def config(self, spec: Any) -> list[str]:
        name = "config-schema.json"
        return self.problems(spec, self.file(name), name, "")

    def resolve(self, reference: str, name: str) -> tuple[Any, str]:
        target, _, pointer = reference.partition("#")
        name = target or name
        found = self.file(name)
        for key in pointer.strip("/").split("/"):
            found = found[key]
        return found, name

    def problems(self, value: Any, rule: dict[str, Any], name: str, place: str) -> list[str]:
        unknown = set(rule) - self.known
        assert not unknown, f"the checker does not know {unknown}"
        found: list[str] = []
        if "$ref" in rule:
            target, file = self.resolve(rule["$ref"], name)
            found += self.problems(value, target, file, place)
        if "type" in rule and not _is_type(value, rule["type"]):
            return [*found, f"{place}: not {rule['type']}"]
        if "enum" in rule and value not in rule["enum"]:
            found.append(f"{place}: not of the enumeration")
        if isinstance(value, str) and "pattern" in rule and not re.search(rule["pattern"], value):
            found.append(f"{place}: not like {rule['pattern']}")
        if _is_type(value, "number"):
            if value < rule.get("minimum", value):
                found.append(f"{place}: below {rule['minimum']}")
            if value > rule.get("maximum", value):
                found.append(f"{place}: above {rule['maximum']}")
        if isinstance(value, list):
            if len(value) < rule.get("minItems", 0):
                found.append(f"{place}: too few items")
            for index, item in enumerate(value) if "items" in rule else ():
                found += self.problems(item, rule["items"], name, f"{place}[{index}]")
        if isinstance(value, dict):
            found += self._object_problems(value, rule, name, place)
        for part in rule.get("allOf", ()):
            found += self.problems(value, part, name, place)
        for word in ("anyOf", "oneOf"):
            if word in rule:
                fitting = sum(not self.problems(value, part, name, place) for part in rule[word])
                if not fitting or (fitting > 1 and word == "oneOf"):
                    found.append(f"{place}: not {word}")
        if "not" in rule and not self.problems(value, rule["not"], name, place):
            found.append(f"{place}: what must not be")
        return found

    def _object_problems(
        self, value: dict[str, Any], rule: dict[str, Any], name: str, place: str
    ) -> list[str]:
        found = [f"{place}.{key}: missing" for key in rule.get("required", ()) if key not in value]
        for key, item in value.items():
            here = f"{place}.{key}"
            parts = [
                part
                for pattern, part in rule.get("patternProperties", {}).items()
                if re.search(pattern, key)
            ]
            if key in rule.get("properties", {}):
                parts.append(rule["properties"][key])
            if not parts and "additionalProperties" in rule:
                if rule["additionalProperties"] is False:
                    found.append(f"{here}: not foreseen")
                elif isinstance(rule["additionalProperties"], dict):
                    parts.append(rule["additionalProperties"])
            for part in parts:
                found += self.problems(item, part, name, here)
        return found


def _is_type(value: Any, name: str | list[str]) -> bool:
    if isinstance(name, list):
        return any(_is_type(value, each) for each in name)
    if isinstance(value, bool):
        return name == "boolean"
    types: dict[str, tuple[type, ...]] = {
        "object": (dict,),
        "array": (list,),
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "null": (type(None),),
    }
    return isinstance(value, types[name])


def load(spec: Any) -> Any:
    return config_from_spec(spec, bundle="/bundle", rootless_euid=False, rootless_cgroups=False)


def examples(kind: str) -> list[Path]:
    """The schema's own; none only where the schema is not there."""
    found = sorted((FOLDER / "test/config" / kind).glob("*.json"))
    assert found or not (FOLDER / "config-schema.json").is_file()
    return found


def test_good_examples_are_loaded(schema: Schema) -> None:
    tried = 0
    for path in examples("good"):
        spec = loads(path.read_bytes(), path.name)
        assert schema.config(spec) == [], path.name
        if path.name in OTHER_PLATFORMS:
            with pytest.raises(ConfigError, match="a configuration for another platform"):
                load(spec)
        else:
            loaded = load(spec)
            again = spec_from_config(*loaded)
            assert load(again) == loaded, path.name
            assert schema.config(again) == [], path.name
            tried += 1
    assert tried >= 5


def test_bad_examples_are_refused(schema: Schema) -> None:
    from libct.config.validate import validate

    from .test_config_validate import MadeUp

    bad = examples("bad")
    assert {path.name for path in bad} > set(LEFT_TO_VALIDATION)
    for path in bad:
        if path.name in LEFT_TO_VALIDATION:
            spec = loads(path.read_bytes(), path.name)
            findings = validate(load(spec)[0], MadeUp())
            assert [at.place for at in findings] == [LEFT_TO_VALIDATION[path.name]]
            assert schema.config(spec) != []
            continue
        with pytest.raises(ConfigError):
            load(loads(path.read_bytes(), path.name))
        if path.name != "invalid-json.json":
            assert schema.config(loads(path.read_bytes(), path.name)) != []


@pytest.mark.parametrize("rootless", [False, True])
def test_our_default_spec_matches(schema: Schema, rootless: bool) -> None:
    assert schema.config(default_spec(rootless=rootless)) == []


def test_what_we_dump_matches(schema: Schema) -> None:
    assert schema.config(spec_from_config(*load(default_spec()))) == []
    # The schema's rootfsPropagation lacks the recursive ones, and its devices the type of "u".
    dumped = spec_from_config(*load(FULL))
    assert schema.config(dumped) == [".linux.rootfsPropagation: not of the enumeration"]


def test_the_schemas_are_read_as_they_are_meant(schema: Schema) -> None:
    """The checker itself: it finds what it should, at its place."""
    spec = default_spec()
    spec["process"]["args"][0] = 1
    spec["linux"]["namespaces"][0]["type"] = "net"
    spec["linux"]["resources"]["devices"][0]["major"] = "1"
    del spec["root"]["path"]
    assert schema.config(spec) == [
        ".process.args[0]: not string",
        ".root.path: missing",
        ".linux.resources.devices[0].major: not integer",
        ".linux.namespaces[0]: not anyOf",
    ]


def test_what_the_schema_refuses_we_refuse(schema: Schema) -> None:
    """Random damage to a spec with every field.

    Where the schema finds a mistake, so do we: in loading or in validation.
    """
    from libct.config.validate import validate, validate_process
    from libct.life.process import Process

    from .test_config_validate import MadeUp
    from .test_oci_fuzz import damaged

    source = random.Random(4)
    accepted, tried = [], 0
    for _ in range(800):
        spec = damaged(GOOD, source, changes=1)
        wrong = schema.config(without_null(spec))
        if not wrong:
            continue
        tried += 1
        try:
            config, arguments = load(spec)
            findings = validate(config, MadeUp())
            if arguments:
                findings += validate_process(Process(**arguments), config)
        except ConfigError:
            continue
        if not [at for at in findings if at.level == "error"]:
            accepted.append(wrong)
    assert tried > 200
    # A filter with neither default nor rules is none, as for the Go runtimes.
    assert [wrong for wrong in accepted if wrong != [".linux.seccomp.defaultAction: missing"]] == []


def without_null(value: Any) -> Any:
    """null is absence, as for the decoders of the Go runtimes; the schema does not say so."""
    if isinstance(value, dict):
        return {key: without_null(item) for key, item in value.items() if item is not None}
    return [without_null(item) for item in value] if isinstance(value, list) else value

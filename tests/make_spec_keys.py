"""Make libct/oci/spec_keys.py of the runtime-spec's JSON Schema.

    python -m tests.make_spec_keys SCHEMA-DIRECTORY >libct/oci/spec_keys.py

SCHEMA-DIRECTORY: schema/ of github.com/opencontainers/runtime-spec.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of other versions than the schema's: what configurations for earlier ones still have.
EARLIER = {
    "": {"platform"},  # 1.0.0-rc5 and before
    "linux.resources": {"disableOOMKiller", "oomScoreAdj"},  # the same
    "linux.intelRdt": {"enableCMT", "enableMBM"},  # 1.0.2 to 1.2
}

HEADER = '''"""The keys of a configuration, by the place of the object that has them.

Of a list the place is that of its entries; an object whose keys are names of something has
none here, and what each of its keys leads to is under "*".  Platforms other than Linux have a
name only.  Made by tests/make_spec_keys.py of the runtime-spec's JSON Schema
(schema/config-schema.json and what it refers to).
"""

from __future__ import annotations

KEYS = {
    place: frozenset(keys.split())
    for place, keys in {
'''


class Schema:
    def __init__(self, folder: Path) -> None:
        self.files = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}

    def keys(self) -> dict[str, set[str]]:
        found = {place: set(keys) for place, keys in EARLIER.items()}
        name = "config-schema.json"
        for place, key in self._keys(self.files[name], name, ""):
            found.setdefault(place, set()).update([key] if key else [])
        return found

    def _keys(self, schema: Any, name: str, place: str) -> Iterator[tuple[str, str]]:
        """(place, key) for each key below a schema; (place, "") for an object of names."""
        reference = schema.get("$ref")
        if reference:
            target, _, pointer = reference.partition("#")
            name = target or name
            schema = self.files[name]
            for key in pointer.strip("/").split("/"):
                schema = schema[key]
            yield from self._keys(schema, name, place)
        for way in ("anyOf", "oneOf", "allOf"):
            for one in schema.get(way, ()):
                yield from self._keys(one, name, place)
        if isinstance(schema.get("items"), dict):
            yield from self._keys(schema["items"], name, place)
        for key, inner in schema.get("properties", {}).items():
            yield place, key
            if place or key not in ("freebsd", "solaris", "vm", "windows", "zos"):
                yield from self._keys(inner, name, f"{place}.{key}" if place else key)
        named = [*schema.get("patternProperties", {}).values()]
        if isinstance(schema.get("additionalProperties"), dict):
            named.append(schema["additionalProperties"])
        for inner in named:
            yield place, ""
            yield from self._keys(inner, name, f"{place}.*")


def written(keys: dict[str, set[str]]) -> str:
    text = HEADER
    for place in sorted(keys):
        words, line = sorted(keys[place]), ""
        lines = []
        for word in words:
            if len(line) + len(word) > 80:
                lines.append(line)
                line = ""
            line += word + " "
        lines.append(line)
        if len(lines) == 1 and len(place) + len(line) < 86:
            text += f'        "{place}": "{line.rstrip()}",\n'
        else:
            text += f'        "{place}": (\n'
            for number, line in enumerate(lines, 1):
                shown = line if number < len(lines) else line.rstrip()
                text += f'            "{shown}"\n'
            text += "        ),\n"
    return text + "    }.items()\n}\n"


if __name__ == "__main__":
    sys.stdout.write(written(Schema(Path(sys.argv[1])).keys()))

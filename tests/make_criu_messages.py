"""Write libct/checkpoint/messages.py from CRIU's rpc.proto.

    python -m tests.make_criu_messages RPC_PROTO > libct/checkpoint/messages.py

The file is images/rpc.proto of CRIU's sources.  Numbers and names are taken, of all messages
and enumerations; the rest of the file is not.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_BLOCK = re.compile(r"\b(message|enum)\s+(\w+)\s*\{([^}]*)\}")
_FIELD = re.compile(r"\b(optional|required|repeated)\s+(\w+)\s+(\w+)\s*=\s*(\d+)")
_MEMBER = re.compile(r"\b(\w+)\s*=\s*(\d+)")
_KINDS = {"int32": "int", "uint32": "uint", "bool": "bool", "string": "text"}

Tables = dict[str, dict[str, tuple[int, str, bool]]]


def parse(text: str) -> tuple[dict[str, dict[str, int]], Tables]:
    """The enumerations and the messages."""
    blocks = _BLOCK.findall(_COMMENT.sub("", text))
    enums = {
        name: {member: int(number) for member, number in _MEMBER.findall(body)}
        for kind, name, body in blocks
        if kind == "enum"
    }
    messages: Tables = {}
    for kind, name, body in blocks:
        if kind == "message":
            messages[name] = {
                field: (int(number), _kind(type_name, enums), rule == "repeated")
                for rule, type_name, field, number in _FIELD.findall(body)
            }
    return enums, messages


def _kind(type_name: str, enums: dict[str, dict[str, int]]) -> str:
    return "int" if type_name in enums else _KINDS.get(type_name, type_name)


def module(text: str) -> str:
    enums, messages = parse(text)
    lines = [
        '"""The messages of CRIU\'s RPC, from the numbers in its images/rpc.proto.',
        "",
        "Made by tests/make_criu_messages.py; not to be edited.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "ENUMERATIONS = {",
    ]
    for name, members in enums.items():
        lines.append(f'    "{name}": {{')
        lines += [f'        "{member}": {number},' for member, number in members.items()]
        lines.append("    },")
    lines += [
        "}",
        "",
        "# Message -> field -> its number, kind, and whether it may be repeated.",
        "",
    ]
    lines[-1:] = ["MESSAGES = {"]
    for name, fields in messages.items():
        lines.append(f'    "{name}": {{')
        for field, (number, kind, repeated) in sorted(fields.items(), key=lambda one: one[1][0]):
            lines.append(f'        "{field}": ({number}, "{kind}", {repeated}),')
        lines.append("    },")
    return "\n".join([*lines, "}", ""])


if __name__ == "__main__":
    print(module(Path(sys.argv[1]).read_text(encoding="utf-8")), end="")

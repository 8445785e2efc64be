"""libct check: what this host can do for containers, and what a bundle lacks here.

Facts are gathered by check_host.py and check_bundle.py, judged by
check_report.py and check_bundle.py, and shown here.
"""

from __future__ import annotations

import os

from ..errors import printable
from ..loading import jsontext
from . import check_bundle, check_host
from .check_report import ERROR, NOTE, OK, WARNING, Line, host_lines, is_fine
from .create import cgroup_manager
from .program import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .options import Arguments

_COLORS = {OK: "32", NOTE: "36", WARNING: "33", ERROR: "31"}


def main(arguments: Arguments) -> int:
    """0 unless something is there that would keep a container from starting."""
    facts = check_host.gather(arguments.root)
    lines = host_lines(facts)
    if arguments.bundle:
        found = check_bundle.look(
            arguments.bundle,
            **cgroup_manager(arguments),
            rootless_cgroups={"true": True, "false": False, "auto": None}[arguments.rootless],
        )
        lines += check_bundle.bundle_lines(*found, facts)
    if arguments.json:
        output(as_json(lines))
    else:
        output(as_text(lines, color=_wants_color()), styled=True)
    return 0 if is_fine(lines) else 1


def _wants_color() -> bool:
    """On a terminal, unless it was declined (https://no-color.org)."""
    return (
        os.isatty(1) and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    )


def as_text(lines: Sequence[Line], *, color: bool) -> str:
    """Section by section, one line each, and a remedy below where there is one."""
    text, section = "", ""
    for line in lines:
        if line.section != section:
            text += "\n" * bool(section) + f"{line.section}\n"
            section = line.section
        state = f"{line.state:7}"
        if color:
            state = f"\033[{_COLORS[line.state]}m{state}\033[0m"
        text += f"  {state}  {printable(line.name)}: {printable(line.text)}\n"
        if line.remedy:
            text += f"  {'':7}    -> {printable(line.remedy)}\n"
    errors = sum(line.state == ERROR for line in lines)
    warnings = sum(line.state == WARNING for line in lines)
    return f"{text}\n{_count(errors, 'error')}, {_count(warnings, 'warning')}\n"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'s' * (number != 1)}"


def as_json(lines: Sequence[Line]) -> str:
    """{"ok": ..., "lines": [...]}, each line with all its fields."""
    fields = ("section", "name", "state", "text", "remedy", "place")
    shown = [{field: getattr(line, field) for field in fields} for line in lines]
    return jsontext.dumps({"ok": is_fine(lines), "lines": shown}, indent=2) + "\n"

"""A configuration of which some fields could not be read: what else is wrong with it.

The reader gives such a field its default and goes on, so the rules can be asked about the
rest.  What they find may then follow from the default, and not from what is written: that is
left out, and found once the field can be read.
"""

from __future__ import annotations

from ..config.validate import facts_of_host, validate, validate_process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ..config import Config
    from ..errors import Finding


def rule_findings(config: Config, arguments: dict[str, Any]) -> list[Finding]:
    """What the rules find about a configuration, and about its process where it has one."""
    found = validate(config, facts_of_host())
    if arguments:
        from ..life.process import Process

        found += validate_process(Process(init=True, **arguments), config)
    return found


def certain(found: Iterable[Finding], unread: Sequence[Finding]) -> list[Finding]:
    """Those of found that hold whatever the fields are meant to be that could not be read.

    unread: the reader's findings.
    """
    bad = [one.place for one in unread if one.level == "error"]
    return [one for one in found if not any(_depends(one, place) for place in bad)]


def _depends(finding: Finding, bad: str) -> bool:
    """Whether it is about the field at the place bad, about one around it or one inside.

    A list whose entry is bad may lack what others need, which they say by the list's name.
    What the other fields of a record may be can depend on its type or mode.
    """
    if bad.endswith((".type", ".mode")):
        bad = bad.rpartition(".")[0]
    return (
        is_inside(finding.place, bad)
        or is_inside(bad, finding.place)
        or ("[" in bad and bad.partition("[")[0] in finding.message)
    )


def is_inside(place: str, outer: str) -> bool:
    """Whether a place in a configuration is another one or in it; "" is all of it."""
    return not outer or place == outer or place.startswith((f"{outer}.", f"{outer}["))

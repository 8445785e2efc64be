"""Id mappings in an option of a mount, as crun has them: idmap=uids=0-1000-10#10-2000-5;gids=...

Each is an id of the file system, the host's that it is shown as, and how many;
after an @ the second is the container's, which its own mappings lead from.
"""

from __future__ import annotations

from ..config.namespace import IDMap
from ..config.number_lists import HIGHEST_ID, whole_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    Maps = dict[str, list[IDMap]]

OPTIONS = ("idmap=", "ridmap=")


def read_inline(text: str, own: Maps) -> Maps:
    """The mappings, "uids" and "gids".  own: those of the container's user namespace.

    Raises ValueError.
    """
    found: Maps = {}
    for part in text.split(";"):
        key, equals, value = part.partition("=")
        if not equals or key not in own or key in found:
            raise ValueError(f"not uids= or gids=, each once: {part!r}")
        found[key] = [_mapping(one, own[key]) for one in value.split("#")]
    return found


def _mapping(text: str, own: list[IDMap]) -> IDMap:
    numbers = text.removeprefix("@").split("-")
    if len(numbers) != 3 or any(whole_number(one, HIGHEST_ID + 1) is None for one in numbers):
        raise ValueError(f"not ID-ID-COUNT, or @ID-ID-COUNT: {text!r}")
    first, shown, size = (int(one) for one in numbers)
    return IDMap(first, _outside(text, shown, size, own) if text[0] == "@" else shown, size)


def _outside(text: str, inside: int, size: int, own: list[IDMap]) -> int:
    for at in own:
        if at.container_id <= inside and inside + size <= at.container_id + at.size:
            return inside + at.host_id - at.container_id
    raise ValueError(f"not within one mapping of the container's user namespace: {text!r}")

"""What the installed CRIU is and can do, by its own word."""

from __future__ import annotations

from ..errors import Unsupported
from .rpc import Criu, CriuFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# External pid namespaces and the word that lazy pages are ready; the freezer of cgroup v2.
OLDEST = 31500
_LSM = 31600  # profiles other than that of the image
_SKIP = 31900  # a network that is not locked


def version() -> int:
    """As 31701 for 3.17.1; Unsupported where there is none, or one that is too old."""
    answer = _asked("version", "VERSION", {})
    found: int = (
        answer.get("major_number", 0) * 10000
        + answer.get("minor_number", 0) * 100
        + answer.get("sublevel", 0)
    )
    if found < OLDEST:
        raise Unsupported(f"CRIU {words(found)} is too old: libct needs {words(OLDEST)} or newer")
    return found


def words(number: int) -> str:
    """31701 -> "3.17.1"."""
    parts = [number // 10000, number // 100 % 100, number % 100]
    return ".".join(map(str, parts if parts[2] else parts[:2]))


def features() -> dict[str, bool]:
    """mem_track (--pre-dump) and lazy_pages: whether kernel and CRIU have them."""
    names = ("mem_track", "lazy_pages")
    found = _asked("features", "FEATURE_CHECK", {"features": dict.fromkeys(names, True)})
    return {name: bool(found.get(name)) for name in names}


def _asked(what: str, kind: str, values: dict[str, Any]) -> dict[str, Any]:
    """The part of that name of an answer; Unsupported where there is no answer."""
    with Criu() as criu:
        try:
            found: dict[str, Any] = criu.question(kind, values).get(what, {})
        except CriuFailed as error:
            said = f": {error.said}" if error.said else ""
            raise Unsupported(f"cannot ask CRIU for its {what}: {error}{said}") from error
    return found


def require_features(names: list[str]) -> None:
    """Unsupported naming those that are missing."""
    if names:
        found = features()
        missing = [name for name in names if not found[name]]
        if missing:
            raise Unsupported(f"CRIU or the kernel does not support {' and '.join(missing)}")


def require_lsm(number: int) -> None:
    if number < _LSM:
        raise Unsupported(f"another LSM profile needs CRIU {words(_LSM)}, not {words(number)}")


def require_network_lock(number: int, method: str) -> None:
    if method == "skip" and number < _SKIP:
        raise Unsupported(
            f"a network that is not locked needs CRIU {words(_SKIP)}, not {words(number)}"
        )


def check(directory: int) -> str:
    """Why CRIU does not work on this kernel; "" where it does.

    directory: a descriptor of where it may write its log, check.log.
    """
    opts = {"images_dir_fd": directory, "log_file": "check.log", "log_level": 4}
    with Criu() as criu:
        try:
            criu.question("CHECK", {"opts": opts})
        except CriuFailed as error:
            return error.said or str(error)
    return ""

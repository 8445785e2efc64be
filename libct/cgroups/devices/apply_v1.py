"""Device access with cgroup v1: devices.allow, devices.deny, devices.list."""

from __future__ import annotations

import errno

from ...errors import StepProblem
from .. import files
from ..files import hinted
from .rules import ALLOW, DENY, Access, parse_text, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...bootstrap.context import Context

# What devices.list has where the default is to allow; exceptions are not listed then.
_ALL_ALLOWED = "a *:* rwm"


def cgroup_devices_v1(
    context: Context, directory: str, default: str, exceptions: tuple[str, ...], fresh: int = 0
) -> None:
    """Bring a group to this default and these exceptions, and verify that it is there.

    fresh: there are no processes that would notice rules come and go, so
    everything is written and nothing needs to be read for that.
    """
    if fresh:
        _write_all(directory, default, exceptions)
    else:
        _change(directory, default, exceptions)
    listed = files.read(f"{directory}/devices.list")
    if not _agrees(listed, default, exceptions):
        raise StepProblem(
            f"'{directory}/devices.list' has {listed.split(chr(10))[:-1]} after {default} with"
            f" {list(exceptions)} was written"
        )


def _write_all(directory: str, default: str, exceptions: tuple[str, ...]) -> None:
    """Set the default, which drops all exceptions, and add these."""
    _write(directory, default, "a")
    if exceptions:
        _write(directory, _other(default), *exceptions)


def _change(directory: str, default: str, exceptions: tuple[str, ...]) -> None:
    """Get there with the fewest writes, so that what stays allowed never is not."""
    present = parse_list(files.read(f"{directory}/devices.list"))
    if present.default != default:
        _write_all(directory, default, exceptions)
        return
    if default == ALLOW:
        # Exceptions cannot be read back then.  With groups below, EINVAL, denials that
        # there may have been before stay.
        try:
            _write(directory, ALLOW, "a")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        if exceptions:
            _write(directory, DENY, *exceptions)
        return
    gone, new = differences(present, exceptions)
    if gone:
        _write(directory, DENY, *gone)
    if new:
        _write(directory, ALLOW, *new)


def differences(present: Access, exceptions: Iterable[str]) -> tuple[list[str], list[str]]:
    """What is to be taken from the exceptions that there are, and what added to them."""
    wanted = dict(map(parse_text, exceptions))
    gone = [
        text_of(devices, extra)
        for devices, bits in present.exceptions.items()
        if (extra := bits & ~wanted.get(devices, 0))
    ]
    new = [
        text_of(devices, missing)
        for devices, bits in wanted.items()
        if (missing := bits & ~present.exceptions.get(devices, 0))
    ]
    return gone, new


def parse_list(text: str) -> Access:
    """The access that devices.list shows."""
    lines = text.splitlines()
    if _ALL_ALLOWED in lines:
        return Access(ALLOW)
    access = Access(DENY)
    access.exceptions = dict(map(parse_text, lines))
    return access


def _write(directory: str, name: str, *texts: str) -> None:
    try:
        files.write(f"{directory}/devices.{name}", *texts)
    except OSError as error:
        raise _hinted(error) from None


def _other(default: str) -> str:
    return DENY if default == ALLOW else ALLOW


def _agrees(listed: str, default: str, exceptions: tuple[str, ...]) -> bool:
    if default == ALLOW:
        return _ALL_ALLOWED in listed
    return sorted(listed.splitlines()) == sorted(exceptions)


def _hinted(error: OSError) -> OSError:
    if error.errno == errno.EPERM:
        return hinted(error, "the control group above does not have that access itself")
    if error.errno == errno.EINVAL:
        return hinted(error, "the default cannot change while there are groups below")
    return error

"""Device access with cgroup v1: devices.allow, devices.deny, devices.list."""

from __future__ import annotations

import errno

from ...errors import StepProblem
from ...plan.step import operation
from .. import files
from ..steps import hinted, quote
from .rules import ALLOW, DENY, Access, parse_text, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...bootstrap.context import Context

# What devices.list has where the default is to allow; exceptions are not listed then.
_ALL_ALLOWED = "a *:* rwm"


@operation("{1} access to devices in {0}, with exceptions")
def cgroup_devices_v1(
    context: Context, directory: str, default: str, exceptions: tuple[str, ...], fresh: int = 0
) -> None:
    """Bring a group to this default and these exceptions, and verify that it is there.

    fresh: there are no processes that would notice rules come and go, so
    everything is written and nothing needs to be read for that.
    """
    wanted = Access(default)
    wanted.exceptions = dict(map(parse_text, exceptions))
    present = None if fresh else parse_list(files.read(f"{directory}/devices.list"))
    changes = transition(present, wanted)
    if present is not None and present.default == ALLOW == default:
        # The default stays; with groups below, denials of before that are to go stay too.
        _write_changes(directory, changes[:1], if_possible=True)
        changes = changes[1:]
    _write_changes(directory, changes)
    listed = files.read(f"{directory}/devices.list")
    if not _agrees(listed, default, exceptions):
        raise StepProblem(
            f"'{directory}/devices.list' has {listed.split(chr(10))[:-1]} after {default} with"
            f" {list(exceptions)} was written"
        )


@cgroup_devices_v1.calls
def _(directory: str, default: str, exceptions: tuple[str, ...], fresh: int = 0) -> list[str]:
    allow, deny = (
        f"openat({quote(f'{directory}/devices.{name}')}, O_WRONLY)" for name in (ALLOW, DENY)
    )
    if not fresh:  # what is written depends on what is there
        return [f"openat({quote(f'{directory}/devices.list')}, O_RDONLY)"]
    first, second = (allow, deny) if default == ALLOW else (deny, allow)
    calls = [first, 'write("a")']
    if exceptions:
        calls += [second, *(f"write({quote(text)})" for text in exceptions)]
    return [*calls, f"openat({quote(f'{directory}/devices.list')}, O_RDONLY)"]


def transition(present: Access | None, wanted: Access) -> list[tuple[str, str]]:
    """The fewest writes, ("allow" or "deny", text), that lead from one access to another.

    present: None if it is not known.  Writing "a" sets the default and drops
    all exceptions; removals come before additions.
    """
    other = DENY if wanted.default == ALLOW else ALLOW
    texts = dict(wanted.minimal())
    # Of a group that allows by default the exceptions cannot be read back.
    if present is None or present.default != wanted.default or wanted.default == ALLOW:
        return [(wanted.default, "a"), *((other, text_of(*item)) for item in texts.items())]
    gone = {devices: bits & ~texts.get(devices, 0) for devices, bits in present.exceptions.items()}
    new = {devices: bits & ~present.exceptions.get(devices, 0) for devices, bits in texts.items()}
    return [(wanted.default, text_of(*item)) for item in gone.items() if item[1]] + [
        (other, text_of(*item)) for item in new.items() if item[1]
    ]


def parse_list(text: str) -> Access:
    """The access that devices.list shows."""
    lines = text.splitlines()
    if _ALL_ALLOWED in lines:
        return Access(ALLOW)
    access = Access(DENY)
    access.exceptions = dict(map(parse_text, lines))
    return access


def _write_changes(
    directory: str, changes: list[tuple[str, str]], *, if_possible: bool = False
) -> None:
    position = 0
    while position < len(changes):
        name = changes[position][0]
        end = position
        while end < len(changes) and changes[end][0] == name:
            end += 1
        try:
            files.write(f"{directory}/devices.{name}", *(text for _, text in changes[position:end]))
        except OSError as error:
            if not if_possible or error.errno != errno.EINVAL:
                raise _hinted(error) from None
        position = end


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

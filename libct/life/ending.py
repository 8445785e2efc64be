"""The end of containers: their processes killed and waited for, and all else removed."""

from __future__ import annotations

import errno
import posix

from ..config.status import CREATED, CREATING, STOPPED
from ..errors import CgroupError, ContainerDamaged, ContainerNotFound, Error
from ..loading.clock import backoff
from ..loading.paths import exists
from . import killing, rules
from .directory import CLASSES, CRIU_ROOT
from .holdings import Holdings
from .links import remove_links

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from .directory import Directory, Held
    from .record import Record

_SECONDS = 5.0  # that who holds the lock may take to let go of it, once what it waits for is ended


def destroy(holdings: Holdings, *, force: bool) -> None:
    """Container.destroy()."""
    record = None
    if not force and holdings.status() == CREATING:
        rules.require("destroy", CREATING, holdings.id)  # and do not wait for the end of that
    try:
        held = _locked_by_force(holdings) if force else holdings.directory.lock()
        try:
            record = _doomed(holdings, force=force)
            if record is not None:
                spare = holdings.directory.holders() if held is None else ()
                _end(holdings, record, held or holdings.directory, force=force, spare=spare)
        finally:
            if held is not None:
                held.release()
    except ContainerNotFound:
        if not force:
            raise
    if record is not None and "poststop" in holdings.hook_kinds():
        from .hooks import run_poststop

        run_poststop(holdings)


def remove_remains(directory: Directory) -> None:
    """Remove by force what there is of a container whose record cannot be read, or is missing."""
    from ..cgroups.ledger import Ledger

    try:
        held = directory.try_lock()
    except ContainerNotFound:
        return
    try:
        spare = directory.holders() if held is None else ()
        killing.end_hook(directory, spare=spare)
        ledger = Ledger(held or directory, by_force=True)
        failures = ledger.remove(by_force=True, spare=spare)
        if failures:
            raise CgroupError("; ".join(failures))
        remove_classes(directory)
        unbind_root(directory)
        directory.remove()
    finally:
        if held is not None:
            held.release()


def _locked_by_force(holdings: Holdings) -> Held | None:
    """The lock, or None where its holder does not let go of it in time.

    A start or a hook that hangs may hold it.  What runs of the container is ended then,
    and the hook, and so whoever waits for these goes on; but not the holder itself,
    which may be somebody's program.  One that holds the lock for ever can do no harm:
    it has only a descriptor of what is removed, and nothing of another container of
    this name (directory.py, Held).
    """
    directory = holdings.directory
    waiting = backoff(_SECONDS)
    while True:
        held = directory.try_lock()
        if held is not None:
            return held
        spare = directory.holders()
        killing.end_hook(directory, spare=spare)
        for record in (holdings.record, directory.read_prepared()):
            if record is not None:
                killing.kill_init(Holdings(directory, record))
        holdings.ledger(by_force=True).kill(spare=spare)
        if not next(waiting):
            return None


def _doomed(holdings: Holdings, *, force: bool) -> Record | None:
    """The record of what is to be removed; None when there is nothing left of it."""
    try:
        return holdings.refresh()
    except ContainerDamaged:
        if not force:
            raise
    except ContainerNotFound:
        if holdings.directory.has_record():  # of another container, which has the id now
            if force:
                return None
            raise
    return holdings.record  # removed halfway, or damaged: what we know of it has to do


def _end(
    holdings: Holdings,
    record: Record,
    directory: Directory,
    *,
    force: bool,
    spare: Collection[int],
) -> None:
    """spare: processes that are not to be ended, as they hold the lock and do not let go of it."""
    status = STOPPED if record.status == CREATING else holdings.live_status()
    if not force and status != CREATED:
        rules.require("destroy", status, holdings.id)
    children = holdings.children()
    for child in children:
        child.on_exit = None  # which would want our lock
    if directory.hook() is not None:
        killing.end_hook(directory, spare=spare)
    if status != STOPPED:
        killing.kill_init(holdings)
    killing.end_messenger(holdings)
    killing.kill_children(holdings, children)
    killing.end_reaper(holdings)
    # Where the first process has ended, all others in its pid namespace have.
    ledger = holdings.ledger(by_force=force)
    holdings.warnings += [
        f"the control group {path!r} stays: it does not have the container's mark any more"
        for path in ledger.lost()
    ]
    failures = ledger.remove(by_force=force or not record.own_pids, spare=spare)
    if failures:
        raise CgroupError("; ".join(failures))
    links = remove_links(record, directory.path)
    if links:
        raise Error("; ".join(links))
    remove_classes(directory)
    unbind_root(directory)
    directory.remove()
    holdings.abandon()


def remove_classes(directory: Directory) -> None:
    """Remove the container's groups of resctrl, which few have; Error where that fails."""
    if not exists(f"{directory.path}/{CLASSES}"):
        return
    from ..resctrl.groups import Notes

    failures = Notes(directory).remove()
    if failures:
        raise Error("; ".join(failures))


def unbind_root(directory: Directory) -> None:
    """What a restore has bound (restoring.py), if anything; nothing in it is removed."""
    path = f"{directory.path}/{CRIU_ROOT}"
    if not exists(path):
        return
    from ..syscalls.constants import MNT_DETACH, MS_PRIVATE, UMOUNT_NOFOLLOW
    from ..syscalls.mounts import mount, umount2

    flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
    try:
        while True:
            # Or what is mounted in the rootfs would be unmounted in the container, too, which
            # receives mounts from here; then it does from the host.
            fd = posix.open(path, flags)
            try:
                mount(None, f"/proc/self/fd/{fd}", flags=MS_PRIVATE)
            finally:
                posix.close(fd)
            umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise Error(f"cannot unmount {path!r}: {error.strerror}") from error
    try:
        posix.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise Error(f"cannot remove {path!r}: {error.strerror}") from error

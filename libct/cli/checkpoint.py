"""libct checkpoint and libct restore."""

from __future__ import annotations

import posix

from ..errors import Error, note
from ..life.container import load
from ..life.directory import check_id
from ..loading.paths import real
from .removal import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..checkpoint.progress import Progress
    from .options import Arguments

_IMAGES = "checkpoint"  # runc's default, in the working directory
# Options that are fields of the same name, or of another.
_SHARED = {
    "tcp_established": "tcp_established",
    "tcp_close": "tcp_close",
    "ext_unix_sk": "external_unix_connections",
    "shell_job": "shell_job",
    "file_locks": "file_locks",
    "lazy_pages": "lazy_pages",
    "manage_cgroups_mode": "manage_cgroups_mode",
    "network_lock": "network_lock",
    "empty_ns": "empty_namespaces",
    "auto_dedup": "auto_dedup",
    "work_path": "work",
}
_CHECKPOINT = {
    **_SHARED,
    "parent_path": "parent",
    "leave_running": "leave_running",
    "tcp_skip_in_flight": "tcp_skip_in_flight",
    "link_remap": "link_remap",
    "page_server": "page_server",
    "pre_dump": "pre_dump",
}
_RESTORE = {
    **_SHARED,
    "lsm_profile": "lsm_profile",
    "lsm_mount_context": "lsm_mount_context",
}


def checkpoint(arguments: Arguments) -> int:
    container = load(arguments.root, arguments.operands[0])
    options = _options(arguments, _CHECKPOINT)
    if arguments.status_fd:
        from ..config.number_lists import whole_number

        number = whole_number(arguments.status_fd, (1 << 31) - 1)
        if number is None:
            raise Error(f"--status-fd is not a descriptor: {arguments.status_fd!r}")
        options["status_fd"] = number
    with _Line(arguments, f"checkpoint of {container.id}") as line:
        container.checkpoint(arguments.image_path or _IMAGES, progress=line.show, **options)
    if not arguments.leave_running and not arguments.pre_dump:
        container.destroy()
        warn(arguments, container)
    return 0


def restore(arguments: Arguments) -> int:
    from ..life.restoring import restore as restore_container
    from .create import load_bundle
    from .launch import check_terminal, connect, write_pid_file

    (container_id,) = arguments.operands
    check_id(container_id)
    if arguments.console_socket and not arguments.detach:
        raise Error("cannot use console socket if libct will not detach or allocate tty")
    config, process = load_bundle(arguments, container_id)
    check_terminal(arguments, process, detach=arguments.detach)
    relay = connected = None
    if process.terminal and not arguments.detach:
        from .terminal import Terminal

        relay = Terminal(process)
    elif process.terminal:
        process.console_socket = connected = connect(arguments.console_socket, "console socket")
    if not arguments.detach and not arguments.no_subreaper:
        from ..syscalls.settings import set_child_subreaper

        set_child_subreaper(True)
    try:
        with _Line(arguments, f"restore of {container_id}") as line:
            container = restore_container(
                arguments.root,
                container_id,
                config,
                process,
                arguments.image_path or _IMAGES,
                bundle=real(arguments.bundle),
                progress=line.show,
                **_options(arguments, _RESTORE),
            )
    finally:
        if connected is not None:
            connected.close()
    warn(arguments, container)
    try:
        if arguments.pid_file:
            write_pid_file(arguments.pid_file, process.pid)
        if arguments.detach:
            return 0
        from .foreground import follow

        status = follow(process, relay)
    except BaseException as error:
        try:
            container.destroy(force=True)
        except Error as failure:
            note(error, str(failure))
        raise
    finally:
        if relay is not None:
            relay.restore()
    container.destroy(force=True)
    warn(arguments, container)
    return status


class _Line:
    """The last line of a terminal, where there is one on standard error: it is written over.

    what: is going on.  show: writes it; None where nobody would see it.
    """

    show: Progress | None = None

    def __init__(self, arguments: Arguments, what: str) -> None:
        self._what, self._shown = what, False
        if arguments.log_format == "json":
            return
        try:
            self._columns = posix.get_terminal_size(2).columns or 80
        except OSError:
            return  # no terminal
        self.show = self._show

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._write("")

    def _show(self, text: str) -> None:
        self._shown = True
        self._write(f"libct: {self._what}: {text}")

    def _write(self, text: str) -> None:
        try:
            posix.write(2, f"\r{text[: self._columns - 1]}\x1b[K".encode("utf-8", "replace"))
        except OSError:
            pass  # the terminal has gone; the work goes on


def _options(arguments: Arguments, names: dict[str, str]) -> dict[str, Any]:
    return {field: getattr(arguments, option) for option, field in names.items()}

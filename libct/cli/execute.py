"""libct exec: a further process in a container."""

from __future__ import annotations

from ..errors import Error, Finding
from ..life.container import Container, load
from ..life.process import Process
from ..loading.jsontext import loads
from ..loading.paths import contents
from .launch import check_streams, start_detached, tracing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .options import Arguments

# What --process FILE says, it says alone, as with runc: these would be passed over.
_NOT_BESIDE = (
    *("cwd", "env", "user", "additional_gids", "process_label", "apparmor", "no_new_privs", "cap"),
)
_LARGEST = 16 << 20  # bytes of a process file


def main(arguments: Arguments) -> int:
    container = load(arguments.root, arguments.operands[0])
    process = make_process(arguments, container)
    check_streams(arguments, process, detach=arguments.detach)
    _warn(arguments, container, process)
    if arguments.detach:
        start_detached(
            container,
            process,
            console_socket=arguments.console_socket,
            pid_file=arguments.pid_file,
            pidfd_socket=arguments.pidfd_socket,
            trace=tracing(arguments),
            ignore_paused=arguments.ignore_paused,
        )
        return 0
    from .foreground import run_in_foreground

    return run_in_foreground(
        container,
        process,
        terminal=process.terminal,
        trace=tracing(arguments),
        pid_file=arguments.pid_file,
        pidfd_socket=arguments.pidfd_socket,
        subreaper=False,
        ignore_paused=arguments.ignore_paused,
    )


def _warn(arguments: Arguments, container: Container, process: Process) -> None:
    """Say what is ignored of it now: it may run for long."""
    from ..life.checking import check_process

    warnings = check_process(container.config, process)
    if warnings:
        from .log import report

        report(arguments, "warning", *warnings)


def make_process(arguments: Arguments, container: Container) -> Process:
    """The process that the command line describes.

    What it does not say is as for the container's first process; --process FILE says it all.
    """
    _, *command = arguments.operands
    if command[:1] == ["--"]:
        del command[0]
    if arguments.process:
        if command:
            raise Error("either --process or a command, not both")
        for key in _NOT_BESIDE:
            if getattr(arguments, key):
                raise Error(f"either --process or --{key.replace('_', '-')}, not both")
        values = _from_file(arguments.process, arguments)
    else:
        if not command:
            raise Error("process args cannot be empty: give a command, or --process FILE")
        values = _as_first_process(container)
        values["args"] = command
        values["terminal"] = arguments.tty
    values["env"] = [*values["env"], *_variables(arguments.env)]
    if arguments.cwd:
        values["cwd"] = arguments.cwd
    if arguments.user:
        values["user"] = arguments.user
    values["additional_groups"] = [
        *values.get("additional_groups", ()),
        *_groups(arguments.additional_gids),
    ]
    if arguments.no_new_privs:
        values["no_new_privileges"] = True
    if arguments.process_label:
        values["label"] = arguments.process_label
    if arguments.apparmor:
        values["apparmor_profile"] = arguments.apparmor
    if arguments.cap:
        values["capabilities"] = _with_capabilities(arguments.cap, values, container)
    values["sub_cgroup_paths"] = _sub_groups(arguments.cgroup)
    values["reset_affinity"] = True
    return Process(init=False, **values)


def _from_file(path: str, arguments: Arguments) -> dict[str, Any]:
    from ..oci.load_process import process_arguments

    try:
        text = contents(path, _LARGEST + 1)
    except OSError as error:
        raise Error(f"cannot read the process file {path!r}: {error.strerror}") from error
    if len(text) > _LARGEST:
        raise Error(f"the process file {path!r} is larger than {_LARGEST >> 20} MiB")
    warnings: list[Finding] = []
    values = process_arguments(loads(text, path), path, warnings)
    if warnings:
        from .log import report

        report(arguments, "warning", *map(str, warnings))
    return values


def _as_first_process(container: Container) -> dict[str, Any]:
    """What the container's first process was started with, by its state.

    Not by its bundle, which may be gone by now, or somebody else's: only a state that an
    earlier version of libct has written does not say it.
    """
    defaults = container.defaults
    if defaults is None:
        return _from_bundle(container)
    values = {name: getattr(defaults, name) for name in type(defaults).__annotations__}
    values["additional_groups"] = _groups(defaults.additional_groups)
    return values


def _from_bundle(container: Container) -> dict[str, Any]:
    """Raises an error where that cannot be read: root is not who to be then."""
    from ..oci.bundle import read_spec
    from ..oci.load_process import process_arguments
    from ..oci.reader import Table

    process = None
    if container.bundle:
        process = Table(read_spec(container.bundle), "", []).get("process")
    if process is None:
        what = "an earlier version of libct, which has not written down how its first process runs"
        raise Error(f"container {container.id!r} is of {what}: give --process FILE")
    return process_arguments(process)


def _groups(given: list[str]) -> list[int | str]:
    return [int(one) if one.isdecimal() and len(one) < 20 else one for one in given]


def _variables(given: list[str]) -> list[str]:
    for one in given:
        if not one.partition("=")[0] or "=" not in one:
            raise Error(f"--env: not NAME=VALUE: {one!r}")
    return given


def _sub_groups(given: list[str]) -> dict[str, str]:
    """Paths by controller, of PATH alone or CONTROLLER[,CONTROLLER...]:PATH, any number."""
    found = {}
    for one in given:
        controllers, colon, path = one.partition(":")
        if ":" in path:
            raise Error(f"--cgroup: not [CONTROLLER:]PATH: {one!r}")
        if not colon:
            if len(given) > 1:
                raise Error(f"--cgroup: each of several needs its CONTROLLER: {one!r}")
            controllers, path = "", one
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def _with_capabilities(names: list[str], values: dict[str, Any], container: Container) -> Any:
    """The sets with these added; to the ambient one where they are inheritable already."""
    from ..config import Capabilities

    sets = values.get("capabilities") or container.config.capabilities or Capabilities()
    sets = sets.copy()
    for name in names:
        sets.bounding.append(name)
        sets.effective.append(name)
        sets.permitted.append(name)
        if name in sets.inheritable:
            sets.ambient.append(name)
    return sets

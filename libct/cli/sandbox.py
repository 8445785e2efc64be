"""`libct sandbox`: the options of the command line as those of libct/sandbox/options.py."""

from __future__ import annotations

import contextlib
import os

from ..errors import ConfigError, Error, Finding, printable
from ..sandbox.failures import explained
from ..sandbox.options import Options
from .log import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from ..config import Landlock
    from .options import Arguments

# Given as they are, where they are given.
_AS_GIVEN = (
    *("ro", "rw", "ro_try", "rw_try", "unset", "overlay", "home", "net", "clear_env", "cwd"),
    *("user", "hostname", "memory", "pids", "keep_caps", "seccomp", "as_pid_1", "outlive"),
    *("dev", "dir", "symlink", "rootfs", "empty", "proc", "sys", "userns", "subids"),
)
# Keyword -> how it is written here.
_OPTIONS = {name: "--" + name.replace("_", "-") for name in Options._fields}
_OPTIONS.update(args="COMMAND", rlimits="--rlimit", cgroups="--cgroup-manager")
_OPTIONS.update(timeout="--timeout", max_output="--max-output", json_status="--json-status")


def main(arguments: Arguments) -> int:
    """Run the command and return its exit status, 128 and the signal's number for a signal."""
    from ..sandbox.config import Prepared, elsewhere
    from ..sandbox.options import command, read, read_size
    from ..sandbox.readonly import Refusals, in_the_callers_language
    from ..sandbox.seen import read_only_directory
    from .create import cgroup_manager_name
    from .watch import Watch, open_descriptor, seconds

    name = f"sandbox-{os.getpid()}-{os.urandom(3).hex()}"  # whatever others have left
    terminal = not arguments.plan and os.isatty(0) and os.isatty(1)
    with _Naming():
        options = read({**_given(arguments), "cgroups": cgroup_manager_name(arguments)})
        made = Prepared(command(arguments.operands), options, terminal=terminal)
        config, process = made.config, made.process
        limit = read_size("max_output", arguments.max_output) if arguments.max_output else None
        if limit is not None and terminal:
            what = "is for output that goes to a file or a pipe, and not to a terminal"
            raise ConfigError([Finding("max_output", what)])
        fd = open_descriptor("json_status", arguments.json_status)
        refusals = Refusals(read_only_directory(options), in_the_callers_language())
        watch = Watch(seconds("timeout", arguments.timeout), limit, fd, refusals)
    if line := elsewhere(options):
        _note(arguments, line)
    learning = None
    if arguments.seccomp_learn and not arguments.plan:
        from .learn import Learning

        learning = Learning(arguments.seccomp_learn, config, process)
    if arguments.plan:
        from ..life.creating import plan
        from .show import show_plan

        show_plan(plan(config, process, id=name, hold=False), json=arguments.json)
        return 0
    from .foreground import run_in_foreground
    from .launch import tracing

    options.root = arguments.root
    watch.prepare(process)
    with _Naming(), made.create(name) as container, made.explaining():
        status = run_in_foreground(
            container,
            process,
            terminal=terminal,
            trace=tracing(arguments),
            mortal=arguments.as_pid_1,
            job=True,
            before=made.before,
            started=lambda: watch.started(container, process),
            printed=refusals.see,
        )
        status, line = watch.finish(status, process)
    if line:
        _note(arguments, line)
    if learning is not None:
        learning.write()
    return status


def _note(arguments: Arguments, line: str) -> None:
    if arguments.quiet:
        return
    if arguments.log or arguments.log_format == "json":
        report(arguments, "warning", line)
    else:
        with contextlib.suppress(OSError):  # nobody reads it
            os.write(2, f"libct: {printable(line)}\n".encode())


def _given(arguments: Arguments) -> dict[str, Any]:
    given = {name: value for name in _AS_GIVEN if (value := getattr(arguments, name))}
    for name in ("bind", "bind_try"):
        given[name] = [_bind(name, text) for text in getattr(arguments, name)]
    for name, more in (("bind", ""), ("bind_try", "_try")):
        given[name] += [(*pair, "ro") for pair in getattr(arguments, f"ro_bind{more}")]
        given[name] += [tuple(pair) for pair in getattr(arguments, f"dev_bind{more}")]
    given["tmpfs"] = [_tmpfs(text, arguments.size) for text in arguments.tmpfs]
    given["file"] = dict(_file(text) for text in arguments.file)
    given["env"] = dict(_variable(text) for text in arguments.env)
    given["env"].update(arguments.setenv)
    for name in ("uid", "gid"):
        if (number := getattr(arguments, name)) is not None:
            given[name] = number
    if arguments.unshare_net:
        given["net"] = "none"
    given["rlimits"] = dict(_rlimit(text) for text in arguments.rlimit)
    for name in ("cpus", "cpu_time"):
        if text := getattr(arguments, name):
            given[name] = _number(name, text)
    given["landlock"] = _landlock(arguments.landlock)
    return given


class _Naming:
    """A context that tells of errors by options of the command line, and not by keywords."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Error):
            raise explained(error, _OPTIONS) from error.__cause__


def _parts(text: str) -> list[str]:
    r"""What colons separate; \: is a colon of a path."""
    parts = [""]
    for piece in text.split(":"):
        if parts[-1].endswith("\\"):
            parts[-1] = parts[-1][:-1] + ":" + piece
        else:
            parts.append(piece)
    return parts[1:]


def _bind(name: str, text: str) -> tuple[str, ...]:
    """SRC:DST, or SRC:DST:ro."""
    parts = _parts(text)
    if len(parts) == 3 and parts[2] not in ("ro", "rw"):
        raise ConfigError([Finding(name, f"neither ro nor rw: {parts[2]!r} in {text!r}")])
    if len(parts) not in (2, 3) or not all(parts):
        raise ConfigError([Finding(name, f"not SRC:DST or SRC:DST:ro: {text!r}")])
    return tuple(parts)


def _tmpfs(text: str, size: str) -> Path | str | tuple[str, str]:
    """size: of one that has none of its own, or ""."""
    path, *own = _parts(text)
    if own or size:
        return path, ":".join(own) if own else size
    if ":" not in path:
        return path
    from pathlib import Path

    return Path(path)


def _file(text: str) -> tuple[str, Path]:
    """SRC:DST"""
    parts = _parts(text)
    if len(parts) != 2 or not all(parts):
        raise ConfigError([Finding("file", f"not SRC:DST: {text!r}")])
    from pathlib import Path

    return parts[1], Path(parts[0])


def _variable(text: str) -> tuple[str, str]:
    """NAME=VALUE, or NAME alone for what the caller has."""
    name, equals, value = text.partition("=")
    if not name:
        raise ConfigError([Finding("env", f"no name: {text!r}")])
    return name, value if equals else os.environ.get(name, "")


def _rlimit(text: str) -> tuple[str, Any]:
    """NAME=SOFT or NAME=SOFT:HARD."""
    name, equals, limits = text.partition("=")
    if not name or not equals:
        raise ConfigError([Finding("rlimits", f"not NAME=SOFT or NAME=SOFT:HARD: {text!r}")])
    soft, colon, hard = limits.partition(":")
    return name, (_limit(soft), _limit(hard)) if colon else _limit(soft)


def _limit(text: str) -> str | int:
    return -1 if text in ("-1", "unlimited", "infinity") else text


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError([Finding(name, f"not a number like 0.5: {text!r}")]) from None


def _landlock(text: str) -> Landlock | None:
    if not text:
        return None
    from ..oci.load_linux import read_landlock
    from ..oci.reader import settle

    findings: list[Finding] = []
    landlock = read_landlock(text, findings, "--landlock")
    settle(findings, None)
    return landlock

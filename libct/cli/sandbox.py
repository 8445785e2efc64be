"""`libct sandbox`: the main job on an embedded default (libct/sandbox.py says which)."""

from __future__ import annotations

import os

from ..errors import ConfigError, Finding
from .sizes import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Landlock
    from .options import Arguments


def main(arguments: Arguments) -> int:
    """Run the command and return its exit status, 128 and the signal's number for a signal."""
    from ..life.creating import create
    from ..sandbox.config import sandbox

    name = f"sandbox-{os.getpid()}"
    terminal = not arguments.plan and os.isatty(0) and os.isatty(1)
    config, process = sandbox(
        arguments.operands,
        ro=arguments.ro,
        rw=arguments.rw,
        bind=[_pair(text) for text in arguments.bind],
        overlay=arguments.overlay,
        home=arguments.home,
        net=arguments.net,
        env=dict(_variable(text) for text in arguments.env),
        cwd=arguments.cwd,
        user=arguments.user,
        hostname=arguments.hostname,
        memory=_size(arguments.memory),
        pids=arguments.pids,
        cpus=_number(arguments.cpus),
        keep_caps=arguments.keep_caps,
        seccomp=arguments.seccomp,
        landlock=_landlock(arguments.landlock),
        terminal=terminal,
        as_pid_1=arguments.as_pid_1,
        outlive=arguments.outlive,
    )
    learning = None
    if arguments.seccomp_learn and not arguments.plan:
        from .learn import Learning

        learning = Learning(arguments.seccomp_learn, config, process)
    if arguments.plan:
        from ..life.creating import plan
        from .show import show_plan

        show_plan(plan(config, process, id=name), json=arguments.json)
        return 0
    from .foreground import run_in_foreground
    from .launch import tracing

    with create(arguments.root, name, config, process=process) as container:
        status = run_in_foreground(
            container,
            process,
            terminal=terminal,
            trace=tracing(arguments),
            mortal=arguments.as_pid_1,
            job=True,
        )
    if learning is not None:
        learning.write()
    return status


def _pair(text: str) -> tuple[str, str]:
    source, colon, inside = text.partition(":")
    if not colon or not source or not inside:
        raise ConfigError([Finding("--bind", f"not SRC:DST: {text!r}")])
    return source, inside


def _variable(text: str) -> tuple[str, str]:
    """NAME=VALUE, or NAME alone for what the caller has."""
    name, equals, value = text.partition("=")
    if not name:
        raise ConfigError([Finding("--env", f"no name: {text!r}")])
    return name, value if equals else os.environ.get(name, "")


def _landlock(text: str) -> Landlock | None:
    if not text:
        return None
    from ..oci.load_linux import read_landlock
    from ..oci.reader import settle

    findings: list[Finding] = []
    landlock = read_landlock(text, findings, "--landlock")
    settle(findings, None)
    return landlock


def _size(text: str) -> int:
    if not text:
        return 0
    try:
        return parse_size(text)
    except ValueError as error:
        raise ConfigError([Finding("--memory", str(error))]) from None


def _number(text: str) -> float:
    if not text:
        return 0
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < 1 << 20:
        raise ConfigError([Finding("--cpus", f"not a number of CPUs like 0.5: {text!r}")])
    return number

"""libct run and libct create."""

from __future__ import annotations

import _signal

from ..errors import ConfigError, Error, Finding
from ..life.creating import create as make_container
from ..loading.paths import environment, real
from ..oci.bundle import from_bundle
from .launch import check_streams, handed_sockets, start_detached, tracing
from .removal import remove, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..life.container import Container
    from ..life.process import Process
    from .learn import Learning
    from .notify import Notifications, Proxy
    from .options import Arguments


_INTERRUPT = (_signal.SIGINT,)


def create(arguments: Arguments) -> int:
    return _create(arguments, detach=True, hold=True)


def run(arguments: Arguments) -> int:
    learn = arguments.seccomp_learn
    if learn and arguments.detach:
        raise Error("--seccomp-learn needs a run that is waited for: leave --detach out")
    return _create(arguments, detach=arguments.detach, hold=False, learn=learn)


def cgroup_manager(arguments: Arguments) -> dict[str, bool]:
    """Who makes the control groups, as options of from_bundle()."""
    name = cgroup_manager_name(arguments)
    return {"systemd": name == "systemd", "control_groups": name != "disabled"}


def cgroup_manager_name(arguments: Arguments) -> str:
    """As it was asked for; "" where it was not."""
    name: str = arguments.cgroup_manager
    if arguments.systemd_cgroup and name not in ("", "systemd"):
        raise Error(f"either --systemd-cgroup or --cgroup-manager {name}, not both")
    return "systemd" if arguments.systemd_cgroup else name


def load_bundle(
    arguments: Arguments, container_id: str, *, no_new_keyring: bool = False
) -> tuple[Config, Process]:
    """The configuration and the first process of the bundle, as the options want them."""
    warnings: list[Finding] = []
    config, process = from_bundle(
        arguments.bundle,
        container_id,
        **cgroup_manager(arguments),
        no_pivot=arguments.no_pivot,
        no_new_keyring=no_new_keyring,
        rootless_cgroups={"true": True, "false": False, "auto": None}[arguments.rootless],
        warnings=warnings,
    )
    if process is None:
        raise ConfigError([Finding("process", "missing: it says what to run")])
    process.reset_affinity = True
    if warnings:
        from .log import report

        report(arguments, "warning", *map(str, warnings))
    return config, process


def _create(arguments: Arguments, *, detach: bool, hold: bool, learn: str = "") -> int:
    (container_id,) = arguments.operands
    config, process = load_bundle(arguments, container_id, no_new_keyring=arguments.no_new_keyring)
    check_streams(arguments, process, detach=detach, sockets=handed_sockets())
    learning = _learning(learn, config, process)
    notifications = _notifications(arguments, container_id)
    if notifications is not None:
        notifications.offer(config, process)
    bundle = real(arguments.bundle)
    # An interrupt comes while what has been done can be undone, or not at all.
    _signal.pthread_sigmask(_signal.SIG_BLOCK, _INTERRUPT)
    container = make_container(arguments.root, container_id, config, bundle=bundle, process=process)
    container.keeps_status = detach or arguments.keep
    try:
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, _INTERRUPT)
        warn(arguments, container)
        proxy = None
        if notifications is not None:
            notifications.make()
            proxy = None if hold else notifications.listen(arguments)
        status = _start(arguments, container, process, proxy, detach=detach, hold=hold)
        warn(arguments, container)
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _INTERRUPT)
    except BaseException as error:
        remove(arguments, container, error)
        raise
    if learning is not None:
        learning.write()
    if not detach and not arguments.keep:
        container.destroy(force=True)
        warn(arguments, container)
    return status


def _learning(path: str, config: Config, process: Process) -> Learning | None:
    if not path:
        return None
    from .learn import Learning

    return Learning(path, config, process)


def _notifications(arguments: Arguments, container_id: str) -> Notifications | None:
    if not environment("NOTIFY_SOCKET"):
        return None
    from .notify import Notifications

    return Notifications(arguments, container_id)


def _start(
    arguments: Arguments,
    container: Container,
    process: Process,
    proxy: Proxy | None,
    *,
    detach: bool,
    hold: bool,
) -> int:
    if detach:
        start_detached(
            container,
            process,
            console_socket=arguments.console_socket,
            pid_file=arguments.pid_file,
            pidfd_socket=arguments.pidfd_socket,
            trace=tracing(arguments),
            hold=hold,
            proxy=proxy,
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
        subreaper=not arguments.no_subreaper,
        proxy=proxy,
    )

"""Containers are registered, and planned; what is done to them after that is theirs."""

from __future__ import annotations

from ..errors import ContainerExists
from ..syscalls.interrupts import deferred
from .checking import check, planned_manager, waits_for
from .container import Container
from .directory import Directory, check_id, default_root
from .holdings import Holdings
from .host import host
from .mortal import add_mark, own_container, sweep
from .process import Process
from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..plan.step import Plan


def create(
    root: str,
    id: str,  # noqa: A002  # the runtime-spec's word
    config: Config,
    *,
    bundle: str = "",
    process: Process | None = None,
) -> Container:
    """Register a container under root; nothing is started yet.

    root: the directory of states; "" is default_root().
    bundle: the directory of its config.json, for state().
    process: the one to be started in it, if there is one already to be checked.

    Raises ConfigError with every finding, InvalidID, ContainerExists.
    """
    made: list[Holdings] = []
    try:
        with deferred():
            directory = Directory(root or default_root(), id)
            warnings = check(config, process)
            record = Record(id, config, bundle)
            made.append(_make(directory, record, mortal=process is not None and process.is_mortal))
            made[0].warnings += warnings
            container = Container(made[0])
    except BaseException:
        if made:  # a signal has come that is to keep it from being made
            with deferred():
                made[0].directory.remove()
        raise
    return container


def _make(directory: Directory, record: Record, *, mortal: bool = False) -> Holdings:
    facts = host()
    manager = planned_manager(record.config, record.id, facts)
    if mortal:
        own_container(directory, record)
    try:
        directory.make()
    except ContainerExists:
        sweep(directory.root)  # it may be one that its owner has left
        directory.make()
    try:
        holdings = Holdings(directory, record)
        hooks = record.config.hooks
        if hooks is not None and hooks.has_functions():
            holdings.hooks = hooks.copy()
        if manager is not None:
            holdings.planned = manager, facts.layout
        if mortal:
            add_mark(directory, record, made=True)
        with directory.lock() as held:
            held.write(record)
    except BaseException:
        directory.remove()
        raise
    return holdings


def plan(
    config: Config,
    process: Process | None = None,
    *,
    id: str = "container",  # noqa: A002
    hold: bool = True,
) -> Plan:
    """What a start would do, step by step; nothing is done.

    Without a process the plan is for one that runs /bin/sh as root.
    hold: the process waits for Container.exec(), as after start(); else it is that of run().
    """
    from ..plan.container import plan_start

    process = process or Process(["/bin/sh"], init=True)
    check_id(id)
    check(config, process)
    facts = host()
    kinds = config.hooks.kinds() if config.hooks is not None else []
    hold = hold or waits_for(kinds)
    return plan_start(config, process, facts, planned_manager(config, id, facts), id, hold=hold)

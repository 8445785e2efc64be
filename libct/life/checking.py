"""Whether a configuration, and a process of it, can be started at all: every finding at once."""

from __future__ import annotations

from ..errors import ConfigError, Finding
from ..plan.capabilities import capability_findings
from .host import landlock_abi, own_capabilities
from .unsupported import refuse_unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from ..cgroups.manager import Manager
    from ..config import Config
    from ..config.cgroup import Resources
    from .host import Host
    from .process import Process


def check(config: Config, process: Process | None = None) -> list[str]:
    """Raise ConfigError with every finding about config, and process where given.

    Returns the warnings: what is ignored, or is not what it seems.
    """
    from ..config.validate import facts_of_host, validate, validate_process

    findings = validate(config, facts_of_host())
    if process is not None:
        findings += validate_process(process, config)
    findings += capability_findings(config, process, own_capabilities)
    if config.landlock is not None:
        from ..plan.landlock import landlock_findings

        findings += landlock_findings(config.landlock, landlock_abi())
    warnings = _raise_for(findings)
    refuse_unsupported(config, process)
    return warnings


def check_process(config: Config, process: Process) -> list[str]:
    """The same about a process of the container of config."""
    from ..config.rules_process import validate_process

    findings = validate_process(process, config)
    if process.capabilities is not None or not process.init:
        # Of those that the configuration has for the first process, create() has told.
        findings += capability_findings(config, process, own_capabilities)
    warnings = _raise_for(findings)
    refuse_unsupported(config, process)
    return warnings


def waits_for(hooks: Collection[str]) -> bool:
    """Whether there are hooks between the start of the first process and its command, or after."""
    return not {"start_container", "poststart"}.isdisjoint(hooks)


def check_limits(resources: Resources) -> None:
    """Raise ConfigError with every finding about limits for a container that is there."""
    from ..config.cgroup import Cgroup
    from ..config.facts import facts_of_host
    from ..config.field_types import wrong_types
    from ..config.rules_cgroup import cgroup_rules

    cgroup = Cgroup(resources=resources)
    findings = wrong_types(cgroup, "cgroups")
    if not findings:
        cgroup_rules(cgroup, facts_of_host(), findings)
    _raise_for(findings)


def planned_manager(config: Config, container_id: str, facts: Host) -> Manager | None:
    """The manager of the control groups to be made; ConfigError where they cannot be."""
    if config.cgroups is None:
        return None
    from ..cgroups.choose import new

    manager = new(config.cgroups, container_id, facts.layout, facts.systemd(config.cgroups))
    problems = manager.problems()
    if problems:
        raise ConfigError([Finding(*problem) for problem in problems])
    return manager


def _raise_for(findings: list[Finding]) -> list[str]:
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise ConfigError(errors)
    return [str(finding) for finding in findings]

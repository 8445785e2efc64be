"""What this version parses and validates, and does not do yet: refused, never ignored."""

from __future__ import annotations

from ..config.annotations import SECCOMP_PLUGINS, annotation
from ..errors import Finding, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from .process import Process


def refuse_unsupported(config: Config, process: Process | None) -> None:
    """Raise Unsupported naming every such place."""
    findings = []
    if annotation(config, SECCOMP_PLUGINS) is not None:
        message = "not supported: no shared objects are loaded as plugins"
        findings.append(Finding(f"annotations.{SECCOMP_PLUGINS}", message))
    if config.cgroups is not None:
        from ..cgroups.resources import unsupported

        findings += [Finding(*problem) for problem in unsupported(config.cgroups.resources)]
        if config.cgroups.systemd:
            message = "not supported yet: systemd as manager of the groups (--systemd-cgroup)"
            findings.append(Finding("linux.cgroupsPath", message))
    if findings:
        raise Unsupported(findings)

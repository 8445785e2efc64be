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
    if findings:
        raise Unsupported(findings)

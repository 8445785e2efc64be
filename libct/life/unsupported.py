"""What this version parses and validates, and does not do yet: refused, never ignored."""

from __future__ import annotations

from ..errors import Finding, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from .process import Process


def refuse_unsupported(config: Config, process: Process | None) -> None:
    """Raise Unsupported naming every such place."""
    found = [
        place
        for place, asked in (
            ("linux.intelRdt", config.intel_rdt),
            ("linux.netDevices", config.net_devices),
            ("linux.mountLabel", config.mount_label),
            ("process.selinuxLabel", config.process_label or (process and process.label)),
            (
                "process.apparmorProfile",
                config.apparmor_profile or (process and process.apparmor_profile),
            ),
        )
        if asked
    ]
    found += [f"mounts[{index}].options" for index, at in enumerate(config.mounts) if at.relabel]
    findings = [Finding(place, "not supported yet") for place in found]
    if config.cgroups is not None:
        from ..cgroups.resources import unsupported

        findings += [Finding(*problem) for problem in unsupported(config.cgroups.resources)]
        if config.cgroups.systemd:
            message = "not supported yet: systemd as manager of the groups (--systemd-cgroup)"
            findings.append(Finding("linux.cgroupsPath", message))
    if findings:
        raise Unsupported(findings)

"""All rules about a Config and a Process, each with its place in the runtime-spec's words.

The rules of one concern are in one rules_*.py; here they are put together.
Nothing is raised and nothing is done: what is wrong comes back as findings, all
of them at once.  Lists of a Config keep the order of the spec's, so places have
the indexes of config.json.

Sources: the runtime-spec's MUSTs, libcontainer's configs/validate and specconv.
"""

from __future__ import annotations

from ..errors import Finding
from .facts import HostFacts, facts_of_host
from .rules_namespaces import (
    entering_rules,
    namespace_rules,
    network_rules,
    rootless_rules,
    sysctl_rules,
    time_rules,
    user_namespace_rules,
    uts_rules,
)
from .rules_process import attribute_rules, validate_process as validate_process
from .rules_rootfs import device_rules, mount_rules, path_rules, rootfs_rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import Config
    from .facts import Facts

__all__ = ["HostFacts", "facts_of_host", "validate", "validate_process"]

_RULES = (
    rootfs_rules,
    namespace_rules,
    user_namespace_rules,
    entering_rules,
    uts_rules,
    network_rules,
    time_rules,
    sysctl_rules,
    mount_rules,
    device_rules,
    path_rules,
    rootless_rules,
    attribute_rules,
)


def _asks_for_labels(config: Config) -> bool:
    named = config.apparmor_profile or config.process_label or config.mount_label
    return bool(named) or any(mount.relabel for mount in config.mounts)


def validate(config: Config, facts: Facts) -> list[Finding]:
    """What is wrong with the configuration, by the rules and the facts of a host."""
    findings: list[Finding] = []
    try:
        for rule in _RULES:
            rule(config, facts, findings)
        if config.cgroups is not None:
            from .rules_cgroup import cgroup_rules

            cgroup_rules(config.cgroups, facts, findings)
        if config.intel_rdt is not None:
            from .rules_cgroup import rdt_rules

            rdt_rules(config.intel_rdt, facts, findings)
        if _asks_for_labels(config):
            from .rules_labels import label_rules

            label_rules(config, facts, findings)
        if config.hooks is not None:
            from .rules_process import hook_rules

            hook_rules(config.hooks, findings)
        if config.seccomp is not None:
            from .rules_seccomp import seccomp_rules

            seccomp_rules(config.seccomp, findings)
        if config.landlock is not None:
            from .rules_landlock import landlock_rules

            landlock_rules(config.landlock, findings)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        # A rule meets a value of a type that the field cannot have: say which.
        from .field_types import wrong_types

        wrong = wrong_types(config)
        if not wrong:
            raise
        return wrong
    return findings

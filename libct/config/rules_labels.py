"""Rules about AppArmor and SELinux: what is asked for is not to be missing without a word."""

from __future__ import annotations

from ..errors import Finding
from ..loading.paths import normal
from .annotations import CONTEXT_TYPE, CONTEXT_TYPES, annotation
from .mount_flags import MS_BIND
from .texts import check_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import Config
    from .facts import Facts
    from .mount import Mount

    Findings = list[Finding]

UNCONFINED = "unconfined"  # the one profile that needs no AppArmor
_PROFILE, _LABEL = "process.apparmorProfile", "process.selinuxLabel"
_NO_SELINUX = "SELinux is not enabled on this host"

# Directories whose files other programs of the host need as they are labelled (runc).
_NEVER_RELABELLED = frozenset(
    (
        *("/", "/bin", "/boot", "/dev", "/etc", "/etc/pki", "/home", "/lib", "/lib64", "/media"),
        *("/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var"),
        *("/var/lib", "/var/log"),
    )
)


def label_rules(config: Config, facts: Facts, findings: Findings) -> None:
    process_label_rules(config.apparmor_profile, config.process_label, facts, findings)
    if config.mount_label:
        _label_rule("linux.mountLabel", config.mount_label, facts, findings)
    kind = annotation(config, CONTEXT_TYPE)
    if kind is not None and kind not in CONTEXT_TYPES:
        message = f"unknown type: {kind!r} (known: {', '.join(CONTEXT_TYPES)})"
        findings.append(Finding(f"annotations.{CONTEXT_TYPE}", message))
    for index, mount in enumerate(config.mounts):
        if mount.relabel:
            problem = _relabel_problem(mount, config)
            if problem:
                findings.append(Finding(f"mounts[{index}].options", f"{mount.relabel}: {problem}"))


def process_label_rules(profile: str, label: str, facts: Facts, findings: Findings) -> None:
    """Of a Config, or of one process."""
    wanted = profile not in ("", UNCONFINED) and check_text(_PROFILE, profile, findings)
    if wanted and not facts.apparmor:
        findings.append(Finding(_PROFILE, "AppArmor is not enabled on this host"))
    if label:
        _label_rule(_LABEL, label, facts, findings)


def _label_rule(place: str, label: str, facts: Facts, findings: Findings) -> None:
    if check_text(place, label, findings) and not facts.selinux:
        findings.append(Finding(place, _NO_SELINUX))


def _relabel_problem(mount: Mount, config: Config) -> str:
    if mount.relabel not in ("z", "Z"):
        return "not a way to label files anew (known: z, Z)"
    if not mount.flags & MS_BIND and mount.device != "bind":
        return "only the files of a bind mount can be labelled anew"
    if not config.mount_label:
        return "needs linux.mountLabel, the label that the files are given"
    if normal(mount.source) in _NEVER_RELABELLED:
        return f"{mount.source!r} is the host's, whose programs need its files as they are labelled"
    return ""

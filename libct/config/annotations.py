"""Annotations of crun's that libct does the same for (crun(1), OCI configuration extensions)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import Config

# The option of mounts that linux.mountLabel is given by: one of CONTEXT_TYPES.
CONTEXT_TYPE = "run.oci.mount_context_type"
CONTEXT_TYPES = ("context", "fscontext", "defcontext", "rootcontext")

# A program for seccomp(2), in base64, instead of one for linux.seccomp.
SECCOMP_PROGRAM = "run.oci.seccomp_bpf_data"
# Refuse names of system calls that are not known; off with the value "0".
SECCOMP_STRICT = "run.oci.seccomp_fail_unknown_syscall"
# The socket that gets the listener of notifications, where listenerPath is not there.
SECCOMP_RECEIVER = "run.oci.seccomp.receiver"
# Shared objects to be loaded, which libct does not do.
SECCOMP_PLUGINS = "run.oci.seccomp.plugins"

# A socket that gets a pidfd of the first process.
PIDFD_RECEIVER = "run.oci.pidfd_receiver"

# A control group below that of the unit of systemd's, for the container to be in.
SUB_GROUP = "run.oci.systemd.subgroup"
# Another one below, that the container manages itself.
DELEGATE = "run.oci.delegate-cgroup"

# A configuration file of CRIU's, for checkpoints and restores; none at all where it is empty.
CRIU_CONFIG = "org.criu.config"


def annotation(config: Config, name: str) -> str | None:
    """The value of an annotation, None where the configuration does not have it."""
    start = f"{name}="
    for label in config.labels:
        if label.startswith(start):
            return label[len(start) :]
    return None

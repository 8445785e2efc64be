"""Without CAP_SYS_CHROOT there is no chroot(2); without CAP_SYS_ADMIN no setns(2) either."""

from libct.syscalls.constants import CAPABILITIES
from libct.syscalls.credentials import capget, capset


def exercise(host: object) -> None:
    lost = 1 << CAPABILITIES["CAP_SYS_CHROOT"] | 1 << CAPABILITIES["CAP_SYS_ADMIN"]
    effective, permitted, _ = capget()
    capset(effective & ~lost, permitted & ~lost, 0)

"""Access to devices: the rules, and how each version of control groups enforces them.

rules.py says what a list of rules means; apply_v1.py writes that to the
devices controller, program.py and apply_v2.py make an eBPF program of it, and
disassembler.py makes lines of that.  Nothing imports this package but the managers,
when there are rules to apply, and who shows a plan.

Sources: config-linux.md, Allowed Device list; the kernel's
admin-guide/cgroup-v1/devices.rst and cgroup-v2, Device controller.
"""

from __future__ import annotations

from ...config.device import ALLOWED_DEVICES, DeviceRule

__all__ = ["ALLOWED_DEVICES", "DEFAULT_RULES"]

# Applied after the rules of every configuration.
DEFAULT_RULES = (
    DeviceRule("c", -1, -1, "m"),  # nodes may be made; opening them is another matter
    DeviceRule("b", -1, -1, "m"),
    *(device.rule for device in ALLOWED_DEVICES),
    DeviceRule("c", 136, -1, "rwm"),  # /dev/pts/*
    DeviceRule("c", 5, 2, "rwm"),  # /dev/ptmx
    DeviceRule("c", 10, 200, "rwm"),  # /dev/net/tun
)

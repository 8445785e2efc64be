"""What runtimes do, a row each: the module of libct that does it, and the tests that show it.

The table in docs/compatibility.md is made of this: python3 -m tests.rows writes it there.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_CHECKOUT = Path(__file__).resolve().parent.parent
PAGE = _CHECKOUT / "docs" / "compatibility.md"
HEADING = "## Feature by feature\n"


class Row(NamedTuple):
    """module: below libct/, tests: below tests/; "" for what is not there.

    keys: of `libct features` that say it.
    """

    feature: str
    module: str
    tests: str
    keys: tuple[str, ...] = ()


ROWS = [
    Row("create, start, state, kill, delete", "life/container.py", "kernel/test_life.py"),
    Row("run, `--detach`, `--keep`; list, ps", "cli/create.py", "kernel/test_cli.py"),
    Row("sub-reaper of `run`", "cli/foreground.py", "kernel/test_life.py"),
    Row("descriptors passed on", "plan/descriptors.py", "kernel/test_cli_services.py"),
    Row("pause, resume", "cgroups/freezer.py", "kernel/test_container.py"),
    Row("exec, with all of its options", "plan/further.py", "kernel/test_exec.py"),
    Row("exec `--cgroup`", "cgroups/entry.py", "kernel/test_exec_cgroup.py"),
    Row("kill, delete `--regex`", "cli/control.py", "kernel/test_cli.py"),
    Row("update", "cli/update.py", "kernel/test_cli_update.py"),
    Row("mounts added to a running container", "life/mounting.py", "kernel/test_mounting.py"),
    Row("spec; features", "oci/features.py", "unit/test_oci_features.py"),
    Row("a look at the host and at bundles", "cli/check.py", "kernel/test_cli_check.py"),
    Row("shell completion", "cli/completion.py", "unit/test_cli_completion.py"),
    Row("hooks", "bootstrap/hooks.py", "kernel/test_hooks.py", ("hooks",)),
    Row("hooks that are functions", "bootstrap/functions.py", "kernel/test_function_hooks.py"),
    Row("output of hooks in a file", "config/hooks.py", "kernel/test_cli_hooks.py"),
    Row("exit status kept for later", "life/record.py", "kernel/test_container.py"),
    Row("pidfd handed out", "cli/launch.py", "kernel/test_cli_log.py"),
    Row("NOTIFY_SOCKET, LISTEN_FDS", "cli/notify.py", "kernel/test_cli_services.py"),
    Row("log as JSON, to journald, to syslog", "cli/log.py", "kernel/test_cli_log.py"),
    Row("events, statistics", "cli/events.py", "kernel/test_cli_events.py"),
    Row("out of memory, memory pressure", "life/events.py", "kernel/test_events.py"),
    Row("checkpoint, restore", "life/checkpointing.py", "vm/test_checkpoint.py"),
    Row(
        "memory written ahead, lazy pages, page server",
        "checkpoint/options.py",
        "vm/test_checkpoint_ways.py",
    ),
    Row(
        "connections, locks, sockets, profiles, CRIU's own settings",
        "checkpoint/options.py",
        "vm/test_checkpoint_ways.py",
    ),
    Row(
        "namespaces, made and joined, time offsets",
        "bootstrap/namespaces.py",
        "kernel/test_namespaces.py",
        ("linux.namespaces",),
    ),
    Row(
        "id maps, newuidmap, subordinate ids",
        "plan/namespaces.py",
        "kernel/test_subordinate_ids.py",
    ),
    Row("networks of sandboxes", "sandbox/network.py", "kernel/test_sandbox_net.py"),
    Row("pasta, slirp4netns", "sandbox/pasta.py", "kernel/test_sandbox_net.py"),
    Row("loopback, routes", "network/steps.py", "kernel/test_network_steps.py"),
    Row(
        "network devices moved in; pairs of devices",
        "network/devices.py",
        "kernel/test_network_devices.py",
        ("linux.netDevices",),
    ),
    Row(
        "rlimits, scheduling, personality, sysctl",
        "attributes/limits.py",
        "kernel/test_attributes.py",
    ),
    Row("hostname, domainname", "attributes/uts.py", "kernel/test_attributes.py"),
    Row("user, groups, umask, HOME", "plan/users.py", "kernel/test_exec.py"),
    Row("groups of the caller kept", "plan/users.py", "kernel/test_exec.py"),
    Row("CPU affinity of exec", "attributes/scheduling.py", "kernel/test_affinity.py"),
    Row(
        "memory policy",
        "attributes/scheduling.py",
        "kernel/test_attributes.py",
        ("linux.memoryPolicy",),
    ),
    Row("pivot_root, no pivot, propagation", "rootfs/root.py", "kernel/test_rootfs_root.py"),
    Row("masked and read-only paths", "rootfs/masks.py", "kernel/test_rootfs_devices.py"),
    Row("paths resolved inside the rootfs", "rootfs/paths.py", "kernel/test_rootfs_paths.py"),
    Row(
        "mounts and their options",
        "rootfs/mounts.py",
        "kernel/test_rootfs_mounts.py",
        ("mountOptions",),
    ),
    Row(
        "`copy-symlink`, `src-nofollow`, `dest-nofollow`",
        "rootfs/links.py",
        "kernel/test_rootfs_links.py",
    ),
    Row(
        "id-mapped mounts, of every kind",
        "rootfs/idmapped.py",
        "kernel/test_rootfs_idmapped.py",
        ("linux.mountExtensions",),
    ),
    Row("`tmpcopyup`", "rootfs/copyup.py", "kernel/test_rootfs_copyup.py"),
    Row("devices", "rootfs/devices.py", "kernel/test_rootfs_devices.py"),
    Row("control groups mounted inside", "rootfs/cgroup_mounts.py", "kernel/test_rootfs_cgroup.py"),
    Row("terminal, console socket", "rootfs/console.py", "kernel/test_console.py"),
    Row("cgroup v1", "cgroups/v1.py", "kernel/test_cgroups_v1.py", ("linux.cgroup.v1",)),
    Row("cgroup v2", "cgroups/v2.py", "kernel/test_cgroups_v2.py", ("linux.cgroup.v2",)),
    Row(
        "systemd",
        "cgroups/systemd/manager.py",
        "vm/test_systemd.py",
        ("linux.cgroup.systemd", "linux.cgroup.systemdUser"),
    ),
    Row("systemd's properties and sub-groups", "cgroups/systemd/manager.py", "vm/test_systemd.py"),
    Row("groups handed to the container", "cgroups/delegated.py", "kernel/test_delegation.py"),
    Row("no control groups", "cgroups/choose.py", "kernel/test_cli_callers.py"),
    Row(
        "rdma and all other limits",
        "cgroups/limits/v2.py",
        "vm/test_limits.py",
        ("linux.cgroup.rdma",),
    ),
    Row(
        "statistics of all controllers", "cgroups/statistics/group.py", "kernel/test_statistics.py"
    ),
    Row(
        "device rules, v1 and eBPF", "cgroups/devices/program.py", "kernel/test_cgroups_devices.py"
    ),
    Row("Intel RDT", "resctrl/groups.py", "kernel/test_resctrl.py", ("linux.intelRdt",)),
    Row(
        "capabilities",
        "security/capabilities.py",
        "kernel/test_security.py",
        ("linux.capabilities",),
    ),
    Row("seccomp", "seccomp/compiler.py", "kernel/test_seccomp.py", ("linux.seccomp",)),
    Row("seccomp listener", "seccomp/listener.py", "kernel/test_seccomp_notify.py"),
    Row("seccomp program from an annotation", "seccomp/given.py", "unit/test_seccomp_given.py"),
    Row("seccomp plugins", "", ""),
    Row(
        "seccomp names that are unknown refused",
        "oci/load.py",
        "unit/test_seccomp_given.py",
    ),
    Row("compiled seccomp profiles kept for the next start", "", ""),
    Row("Landlock", "security/landlock.py", "kernel/test_landlock.py"),
    Row("AppArmor", "security/labels.py", "vm/test_apparmor.py", ("linux.apparmor",)),
    Row("SELinux", "security/labels.py", "vm/test_selinux.py", ("linux.selinux",)),
    Row("session keyring", "security/keyring.py", "kernel/test_security.py"),
    Row(
        "descriptors and working directory checked",
        "plan/execute.py",
        "kernel/test_bootstrap_invariants.py",
    ),
    Row("interpreter sealed", "bootstrap/seal.py", "kernel/test_bootstrap_seal.py"),
    Row("a plan that is shown before", "plan/step.py", "kernel/test_bootstrap_plan.py"),
    Row("functions called in a container", "life/calling.py", "kernel/test_call.py"),
    Row("an executor in the container's process", "life/calling.py", "kernel/test_executor.py"),
    Row("WebAssembly, mono, micro VMs", "", ""),
]


def table() -> str:
    lines = ["| Feature | Module | Shown by |", "|---|---|---|"]
    for row in ROWS:
        done = f"`libct/{row.module}` | `tests/{row.tests}`" if row.module else "not supported |"
        lines.append(f"| {row.feature} | {done} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with the table of today below its heading."""
    before, _, rest = text.partition(HEADING)
    _, _, after = rest.partition("\n## ")
    return f"{before}{HEADING}\n{table()}\n## {after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))

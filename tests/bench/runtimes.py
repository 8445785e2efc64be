"""The bundle that is measured, and the command lines of the three runtimes for it."""

from __future__ import annotations

import resource
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bundles import busybox_rootfs, change_config, make_bundle

if TYPE_CHECKING:
    Commands = dict[str, list[str]]

CHECKOUT = Path(__file__).resolve().parent.parent.parent
GROUP = "libct-bench"  # the directory of cgroups; each runtime has one in it
ID = "bench"
RUNTIMES = ("libct", "crun", "runc")


def make_bundles(scratch: Path) -> None:
    """scratch/RUNTIME/true and .../sleep on one rootfs: `true` ends at once, `sleep` stays.

    true-0 and true-1 are for two at a time.
    """
    scratch.chmod(0o755)
    rootfs = busybox_rootfs(scratch)
    sleep, true = ["/bin/sleep", "100000"], ["/bin/true"]
    for name, args in {"true": true, "sleep": sleep, "true-0": true, "true-1": true}.items():
        for runtime in RUNTIMES:
            (scratch / runtime / name).mkdir(parents=True)
            bundle = make_bundle(scratch / runtime / name, args=args, rootfs=rootfs)
            # The oldest version that has all of it: crun and runc may be older than libct.
            group = f"/{GROUP}/{runtime}{name[4:] if name.startswith('true-') else ''}"
            change_config(bundle, ociVersion="1.0.2", linux={"cgroupsPath": group})
            if not device_rules_work():
                change_config(bundle, linux={"resources": None})


def device_rules_work() -> bool:
    """Whether crun can have device rules, for which it lifts the limit of locked memory.

    Without CAP_SYS_RESOURCE it fails there; all runtimes get a bundle without rules then.
    """
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY,) * 2)
    except (ValueError, OSError):
        return False
    return True


def cold_commands(scratch: Path) -> dict[str, Commands]:
    """Runtime -> what to do -> command line; runtimes that are not installed are left out.

    So is crun beside both versions of control groups, which it refuses.

    "run" runs true to its end; "create", "start", "exec", "state", "list",
    "kill" and "delete" are about a container that sleeps.
    """
    found = {"libct": _commands(_libct(), scratch, "libct")}
    for name in RUNTIMES[1:]:
        program = shutil.which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin")
        refuses = name == "crun" and Path("/sys/fs/cgroup/unified/cgroup.procs").exists()
        if program is not None and not refuses:
            found[name] = _commands([program], scratch, name)
    return found


def module_run(scratch: Path) -> list[str]:
    """`python3 -m libct run`, from the checkout, with site-packages and all."""
    run = _commands([sys.executable, "-m", "libct"], scratch, "libct")["run"]
    return ["env", f"PYTHONPATH={CHECKOUT}", *run]


def _libct() -> list[str]:
    return [sys.executable, "-I", "-S", str(CHECKOUT / "libct/__main__.py")]


def _commands(program: list[str], scratch: Path, name: str) -> Commands:
    base = [*program, "--root", str(scratch / name / "root")]
    return {
        "run": [*base, "run", "-b", str(scratch / name / "true"), ID],
        "run-0": [*base, "run", "-b", str(scratch / name / "true-0"), f"{ID}-0"],
        "run-1": [*base, "run", "-b", str(scratch / name / "true-1"), f"{ID}-1"],
        "create": [*base, "create", "-b", str(scratch / name / "sleep"), ID],
        "start": [*base, "start", ID],
        "exec": [*base, "exec", ID, "/bin/true"],
        "state": [*base, "state", ID],
        "list": [*base, "list"],
        "kill": [*base, "kill", ID, "CONT"],  # which a sleeping process does not mind
        "delete": [*base, "delete", "--force", ID],
    }

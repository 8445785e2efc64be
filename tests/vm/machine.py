"""One virtual machine: qemu with an image, a share, and a console in a file.

The processor is emulated, as hardware acceleration is not to be had everywhere,
so everything takes some ten times as long in there.  Nothing that a guest does
to its disk is kept, and it has no network.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable, NamedTuple

from .counter import counter_frequency

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .lanes import Lane

CHECKOUT = Path(__file__).resolve().parents[2]
RESULTS = "/run/vm/results"  # in the guest
BOOT = 900  # seconds that it may take; on an idle host it takes some 20
_MEMORY = "2560M"
_PROCESSORS = "2"
_GUEST = Path(__file__).with_name("guest.sh")
# By Debian's name: the program of qemu, its machine and processor, and the console.
_MACHINES = {
    "amd64": ("qemu-system-x86_64", ("-cpu", "Nehalem"), "ttyS0"),
    "arm64": ("qemu-system-aarch64", ("-M", "virt", "-cpu", "max,pauth-impdef=on"), "ttyAMA0"),
}
_ARGUMENTS = (
    *("root=LABEL=libct-vm", "rw", "panic=-1", "quiet"),
    *("mitigations=off", "nokaslr", "audit=0"),  # less to do for a slow machine
)
_AMD64 = (
    # A busy host may be late with what the kernel measures at the boot, so we measure the
    # processor's counter (see counter.py) and it believes us.
    *("tsc=reliable", "no_timer_check"),
    # systemd gives up nothing that takes long.
    *("systemd.default_timeout_start_sec=600", "systemd.default_device_timeout_sec=600"),
    *("systemd.service_watchdogs=0", "udev.event_timeout=600"),
)
_CONSOLE_SHOWN = 20_000  # characters, from the end


class Result(NamedTuple):
    """What came of a command in a guest.

    status: its exit status; None if the guest has hung or died, and problem says how.
    seconds: from the start of the machine to its end.
    """

    status: int | None
    problem: str
    seconds: float


_stopped = threading.Event()


class _Hung(Exception):
    """A guest that does not come to an end, or has died before."""


def run_in_guest(
    lane: Lane,
    image: Path,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    longest: float,
    results: Path | None,
    show: Callable[[str], object],
) -> Result:
    """Boot the image, run command in a copy of the checkout, and end the machine.

    longest: seconds that the command may take.
    results: a directory that gets what the command has put into RESULTS, and the
        files output and console; None for none.
    show: is given the output as it comes.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="libct-vm-") as directory:
        share, console = Path(directory, "share"), Path(directory, "console")
        (share / "results").mkdir(parents=True)
        shutil.copy(_GUEST, share)
        (share / "command.sh").write_text(_script(command, environment))
        pack_checkout(share / "checkout.tar")
        status, problem = None, ""
        try:
            _boot_and_wait(_qemu(lane, image, share, console), share, console, longest, show)
            status = int((share / "status").read_text())
        except _Hung as hung:
            text = console.read_text(errors="replace")[-_CONSOLE_SHOWN:]
            problem = f"the guest {hung}.  Its console:\n{text}"
        if results is not None:
            shutil.copytree(share / "results", results, dirs_exist_ok=True)
            for path in (share / "output", console):
                if path.exists():
                    shutil.copyfile(path, results / path.name)
        return Result(status, problem, time.monotonic() - began)


def _script(command: Sequence[str], environment: Mapping[str, str]) -> str:
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join([*lines, f"exec {shlex.join(command)}", ""])


def pack_checkout(path: Path) -> None:
    """Make an archive of the checkout as it is, with what is not committed."""
    with tarfile.open(path, "w") as archive:
        for place in sorted(CHECKOUT.iterdir()):
            archive.add(place, place.name, filter=_what_is_written)


def _what_is_written(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """A file that is not made from others; root owns it in the guest."""
    name = os.path.basename(member.name)
    hidden = name.startswith(".") and name not in (".ci", ".gitignore")
    if hidden or name == "__pycache__" or member.name in ("build", "dist", "htmlcov"):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _qemu(lane: Lane, image: Path, share: Path, console: Path) -> list[str]:
    program, processor, terminal = _MACHINES[lane.image.architecture]
    arguments = [f"console={terminal}", *_ARGUMENTS, *lane.arguments]
    if lane.image.architecture == "amd64":
        arguments += [*_AMD64, f"tsc_early_khz={counter_frequency() // 1000}"]
    return [
        # It may not outlive us, whatever ends us.
        *("setpriv", "--pdeathsig", "KILL", program),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-accel", "tcg,thread=multi,tb-size=512", *processor),
        *("-m", _MEMORY, "-smp", _PROCESSORS, "-nic", "none"),
        *("-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img")),
        *("-append", " ".join(arguments)),
        *("-drive", f"file={_escaped(image / 'disk')},format=raw,if=virtio,snapshot=on"),
        "-virtfs",
        f"local,path={_escaped(share)},mount_tag=vm,security_model=none,multidevs=remap",
        *("-chardev", f"file,id=console,path={_escaped(console)},append=on"),
        *("-serial", "chardev:console", "-device", "virtio-rng-pci"),
    ]


def _escaped(path: Path) -> str:
    """For a value among qemu's options, which end at a comma."""
    return str(path).replace(",", ",,")


def _boot_and_wait(
    qemu: Sequence[str], share: Path, console: Path, longest: float, show: Callable[[str], object]
) -> None:
    with console.open("ab") as file:
        machine = subprocess.Popen(qemu, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        _wait_until((share / "started").exists, machine, BOOT, "boot")
        with (share / "output").open("w+", errors="replace") as output:

            def ended() -> bool:
                there = (share / "status").exists()  # before what it has written is read
                show(output.read())
                return there

            _wait_until(ended, machine, longest, "end its command")
    finally:
        machine.kill()  # nothing on its disk is kept
        machine.wait()


def stop_all() -> None:
    """End all machines of this process, also those that are being started; for other threads."""
    _stopped.set()


def _wait_until(
    condition: Callable[[], bool], machine: subprocess.Popen[bytes], longest: float, what: str
) -> None:
    deadline = time.monotonic() + longest
    while not condition():
        if machine.poll() is not None and not condition():
            raise _Hung(f"stopped (qemu exited with {machine.returncode}) and did not {what}")
        if _stopped.is_set():
            raise _Hung(f"was stopped before it could {what}")
        if time.monotonic() > deadline:
            raise _Hung(f"did not {what} within {longest:.0f} s")
        time.sleep(0.2)

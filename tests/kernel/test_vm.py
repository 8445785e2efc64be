"""The program that runs virtual machines, with kernels that come to no end."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support import CHECKOUT, requires, wait_until
from tests.vm import __main__ as command, images, machine
from tests.vm.lanes import LANES

pytestmark = [requires("qemu-system-x86_64"), pytest.mark.usefixtures("nothing_left")]

LANE = LANES["debian12"]
IMAGE = LANE.image
_SAID = "here I am\n"


def kernel(end: bytes) -> bytes:
    """One that writes a line to the console and then does that; Multiboot, 3.1.1 to 3.1.3."""
    magic, flags, start = 0x1BADB002, 1 << 16, 0x100000  # with addresses: it is no ELF
    addresses = (start, start, 0, 0, start + 32)
    header = struct.pack("<8I", magic, flags, -(magic + flags) & 0xFFFFFFFF, *addresses)
    # mov dx, 0x3f8; (mov al, CHARACTER; out dx, al)...
    return header + b"\x66\xba\xf8\x03" + b"".join(b"\xb0%c\xee" % c for c in _SAID.encode()) + end


HALT = b"\xfa\xf4\xeb\xfc"  # cli; hlt; jmp to that
DIE = b"\x0f\x01\x1d\x00\x00\x00\x00\xcc"  # no interrupts to take a trap: the processor resets


@pytest.fixture
def image(tmp_path: Path) -> Path:
    place = tmp_path / "image"
    place.mkdir()
    (place / "vmlinuz").write_bytes(kernel(HALT))
    (place / "initrd.img").write_bytes(bytes(512))
    (place / "disk").write_bytes(bytes(1 << 20))
    return place


def run_there(image: Path, results: Path | None = None) -> machine.Result:
    return machine.run_in_guest(
        LANE, image, ["true"], environment={}, longest=5, results=results, show=print
    )


def test_a_guest_that_hangs_fails_with_its_console(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "BOOT", 5)
    result = run_there(image, tmp_path / "results")
    assert result.status is None
    assert result.problem == f"the guest did not boot within 5 s.  Its console:\n{_SAID}"
    assert (tmp_path / "results/console").read_text() == _SAID
    command._write_failure(tmp_path / "results", result)
    suite = ElementTree.parse(tmp_path / "results/junit.xml").getroot()
    assert suite.get("failures") == "1"
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.text == result.problem


def test_a_guest_that_dies_fails_at_once(image: Path) -> None:
    (image / "vmlinuz").write_bytes(kernel(DIE))
    result = run_there(image)
    assert result.status is None
    assert "stopped (qemu exited with 0) and did not boot" in result.problem
    assert _SAID in result.problem


def test_a_machine_that_does_not_start_fails_with_what_qemu_says(image: Path) -> None:
    (image / "disk").unlink()
    result = run_there(image)
    assert result.status is None
    assert "qemu exited with 1" in result.problem
    assert "No such file or directory" in result.problem


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_machine_outlives_what_has_started_it(
    image: Path, tmp_path: Path, number: signal.Signals
) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.vm import __main__ as command\n"
        "command.image_directory = lambda image: Path(sys.argv.pop())\n"
        "sys.exit(command.main())"
    )
    words = [sys.executable, "-c", program, "--lane", LANE.name, "--", "true", str(image)]
    runner = subprocess.Popen(words, cwd=CHECKOUT, env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        assert wait_until(lambda: machines(image) != [], patience=60)
        runner.send_signal(number)
        status = runner.wait(60)
    finally:
        runner.kill()
        runner.wait()
    assert status == {signal.SIGTERM: 143}.get(number, -number)
    assert wait_until(lambda: machines(image) == [])
    if number != signal.SIGKILL:
        assert list(tmp_path.glob("libct-vm-*")) == []


def machines(image: Path) -> list[str]:
    """The machines that run there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_text(errors="replace")
        except OSError:
            continue  # it has ended
        if line.startswith("qemu-system") and f"{image}/" in line:
            found.append(line)
    return found


def test_the_checkout_goes_into_the_guest_without_what_is_made_from_it(tmp_path: Path) -> None:
    archive = tmp_path / "checkout.tar"
    machine.pack_checkout(archive)
    with tarfile.open(archive) as file:
        members = {member.name: member for member in file}
    assert {"libct/__init__.py", "tests/vm/guest.sh", "README.md", ".ci/run"} <= set(members)
    assert not [name for name in members if "__pycache__" in name or "/.git/" in f"/{name}/"]
    assert {(member.uid, member.uname) for member in members.values()} == {(0, "root")}


# --- images ---

_MMDEBSTRAP = """#!/bin/sh
for word; do case $word in /*.root) root=$word;; esac; done
echo made >>"$CACHE/made"
sleep 1
mkdir -p "$root/boot"
echo kernel >"$root/boot/vmlinuz-6"
echo initrd >"$root/boot/initrd.img-6"
eval "$END"
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where images are kept, which a stand-in for mmdebstrap makes."""
    program = tmp_path / "bin/mmdebstrap"
    program.parent.mkdir()
    program.write_text(_MMDEBSTRAP)
    program.chmod(0o755)
    place = tmp_path / "cache"
    place.mkdir()
    changes = {"CACHE": place, "LIBCT_VM_CACHE": place, "END": "true"}
    for name, value in changes.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return place


@requires("root")
def test_two_runs_at_once_make_one_image(cache: Path) -> None:
    program = "from tests.vm import images, lanes; print(images.image_directory(lanes.DEBIAN_12))"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    one, other = (Path(run.communicate(timeout=60)[0].strip()) for run in runs)
    assert one == other
    assert (cache / "made").read_text() == "made\n"
    assert sorted(path.name for path in one.iterdir()) == ["disk", "initrd.img", "vmlinuz"]
    assert sorted(path.name for path in cache.iterdir()) == [one.name, f"{one.name}.lock", "made"]
    assert images.image_directory(IMAGE) == one
    assert images.image_directory(IMAGE._replace(packages=("another",))) != one


@requires("root")
def test_an_image_that_cannot_be_made_is_not_there(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("END", "no mirror")
    with pytest.raises(images.ImageProblem, match=r"mmdebstrap exited with 127:[^$]*not found"):
        images.image_directory(IMAGE)
    assert [path for path in cache.iterdir() if path.is_dir()] == []


@requires("root")
def test_images_that_nobody_uses_go(cache: Path) -> None:
    for age, name in ((20, "old"), (5, "new")):
        place = cache / f"{IMAGE.name}-{name.encode().hex()}"
        place.mkdir()
        os.utime(place, times=(time.time() - age * 86400,) * 2)
    own = images.image_directory(IMAGE)
    left = {path.name for path in cache.iterdir() if path.is_dir()}
    assert left == {own.name, f"{IMAGE.name}-{b'new'.hex()}"}

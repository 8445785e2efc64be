"""What sandboxes of other programs show and leave, tried: python3 -m tests.beside, as root.

It prints a table, of what docs/sandbox.md tells in words: programs that are not installed are left
out.  Each is called as its manual begins, with no more options than it takes to run a command
over the host's files (Podman: over a rootfs).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .commands import (
    give_to_user,
    libct_command,
    libct_environment,
    user_environment,
    user_identity,
)
from .support import busybox_rootfs

_SECRET = "LIBCT_TEST_SECRET"
_PROBES = {
    "files in the home directory": "ls -A $HOME 2>/dev/null | wc -l",
    "files in /run": "ls /run | wc -l",
    "the directory one stands in": 'touch "$DIRECTORY/x" 2>/dev/null && echo written || '
    'ls -d "$DIRECTORY" 2>/dev/null | wc -l',
    "processes": "ls /proc | grep -c '^[0-9]'",
    "network devices": "grep -c : /proc/net/dev",
    "a variable of the caller's": f"echo ${_SECRET}",
    "capabilities": "grep CapEff /proc/self/status | cut -f 2",
    "no new privileges": "grep NoNewPrivs /proc/self/status | cut -f 2",
    "seccomp": "grep Seccomp: /proc/self/status | cut -f 2",
    "setuid programs": "grep -c ' / .*nosuid' /proc/self/mountinfo",
    "number of the command": "echo $$",
}


def _programs(rootfs: Path, *, user: bool) -> dict[str, list[str]]:
    bubblewrap = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    bubblewrap += ["--tmpfs", "/tmp"]
    # Limits that a root without CAP_SYS_RESOURCE may set; runc, for crun refuses to mix v1 and v2.
    podman = ["podman", "run", "--rm", "-i", "--runtime", "runc", "--ulimit", "nofile=1024:4096"]
    podman += ["--ulimit", "nproc=1000:1000", "--rootfs", str(rootfs)]
    found = {
        "bubblewrap": bubblewrap,
        "firejail": ["firejail", "--quiet"],
        "nsjail": ["nsjail", "-Mo", "-q", "--chroot", "/", "--"],
        "podman": podman,
    }
    if user:
        del found["podman"]  # it wants a session of systemd's, and v2 alone
    there = {name: words for name, words in found.items() if shutil.which(words[0])}
    return {"libct": [*libct_command("sandbox", user=user), "--"], **there}


def _environment(*, user: bool, directory: Path) -> dict[str, str]:
    own = user_environment() if user else dict(os.environ)
    return {**own, **libct_environment(user=user), _SECRET: "seen", "DIRECTORY": str(directory)}


def _run(words: list[str], script: str, *, user: bool, directory: Path) -> str:
    script = f"DIRECTORY={directory}; {script}"
    done = subprocess.run(
        [*words, "sh", "-c", script],
        cwd=directory,
        env=_environment(user=user, directory=directory),
        stdin=subprocess.PIPE,  # and never the host's /dev/null
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **(user_identity() if user else {}),
    )
    text = " ".join(done.stdout.split())
    return text or f"({done.returncode}: {done.stderr.strip()[-60:]})"


def _status(words: list[str], script: str, *, user: bool, directory: Path) -> str:
    return _run(["sh", "-c", '"$@"; echo $?', "sh", *words], script, user=user, directory=directory)


def _outlives(words: list[str], *, user: bool, directory: Path) -> str:
    """Whether the command goes on when the program is killed."""
    seconds = f"{1000 + os.getpid() % 1000}.{int(user)}"
    running = subprocess.Popen(
        [*words, "sleep", seconds],
        cwd=directory,
        env=_environment(user=user, directory=directory),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **(user_identity() if user else {}),
    )

    def sleeping() -> list[int]:
        found = []
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if place.read_bytes().split(b"\0")[:2] == [b"sleep", seconds.encode()]:
                    found.append(int(place.parent.name))
            except OSError:
                continue  # it has ended
        return found

    deadline = time.monotonic() + 10
    while not sleeping() and time.monotonic() < deadline:
        time.sleep(0.05)
    started = bool(sleeping())
    running.kill()
    running.communicate()
    time.sleep(1)
    left = sleeping()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return "not started" if not started else "goes on" if left else "ends"


def main() -> None:
    for user in (False, True):
        directory = Path(tempfile.mkdtemp(dir="/var/tmp"))
        rootfs = busybox_rootfs(Path(tempfile.mkdtemp(dir="/var/tmp")))
        if user:
            give_to_user(directory)
            give_to_user(rootfs.parent)
        print(f"\n{'ordinary user' if user else 'root'}")
        for name, words in _programs(rootfs, user=user).items():
            print(f"  {name}")
            for what, script in _PROBES.items():
                print(f"    {what}: {_run(words, script, user=user, directory=directory)}")
            print(f"    kill -9 $$: {_status(words, 'kill -9 $$', user=user, directory=directory)}")
            print(f"    orphans: {_run(words, _ORPHANS, user=user, directory=directory)}")
            print(f"    killed: {_outlives(words, user=user, directory=directory)}")
            sys.stdout.flush()
        shutil.rmtree(directory)
        shutil.rmtree(rootfs.parent)


# A child of a child that has ended: who reaps it, when it ends too?
_ORPHANS = (
    "sh -c 'sleep 0.2 & exec true'; sleep 0.6; grep -l '^State:.Z' /proc/[0-9]*/status | wc -l"
)

if __name__ == "__main__":
    main()

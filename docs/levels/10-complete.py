"""Level 10: root inside is nobody outside: a complete container.

In a user namespace ids are mapped: user 0 of the container is user 100000 of the host, who owns
nothing there.  Capabilities count in the namespace only.  The host writes the map
while the container's first process waits; then that becomes user 0 of the new map.

The namespaces that are left come along: network, IPC and control groups.  Read enter() from
top to bottom: that is a container.  `libct.run` below makes the same; `libct plan` shows its
steps in order, and README.md has which step is of which level.

New:      CLONE_NEWUSER, /proc/PID/uid_map; CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWCGROUP
To read:  user_namespaces(7), network_namespaces(7), cgroup_namespaces(7)
Attack:   the kernel is the host's, and no level is left: that takes a virtual machine
Runs as:  root
"""

import os
from pathlib import Path

import lesson

import libct
from libct.syscalls.credentials import setgroups, setresgid, setresuid
from libct.syscalls.files import close_range
from libct.syscalls.namespaces import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    unshare,
)
from libct.syscalls.process import set_no_new_privs
from libct.syscalls.seccomp import seccomp_set_mode_filter
from libct.syscalls.uts import sethostname

four, six, seven, eight, nine = (lesson.level(number) for number in (4, 6, 7, 8, 9))

ROOT_FOR = ("container", "attack", "exercise")
NAMESPACES = CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUSER
afterwards = eight.afterwards


def outside(host, pid):
    nine.outside(host, pid)  # level 8
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text("0 100000 65536")  # new: inside, outside, how many


def enter(host):
    setgroups([])  # new: the host's groups would count in here
    setresgid(0, 0, 0)  # new: become root of the new map
    setresuid(0, 0, 0)
    unshare(CLONE_NEWCGROUP)  # new: now that we are in the group, which becomes the root
    sethostname("level-10")  # level 1
    four.change_root(host)  # levels 2 and 4
    seven.cover()  # level 7
    close_range(3)  # level 5
    six.limit_rights()  # level 6
    set_no_new_privs()  # level 9
    seccomp_set_mode_filter(nine.FILTER)  # level 9


def attack(host):
    """Ask the kernel about the host.

    It answers, as it is the same kernel.  A hole in it is a hole in all ten levels.
    """
    return f"Linux {os.uname().release}, up and loaded: {Path('/proc/loadavg').read_text().strip()}"


def the_same(host):
    """The same by libct.run(), in one call, over the host's own programs."""
    command = ["grep", "-E", "CapEff|NoNewPrivs|Seccomp:", "/proc/self/status"]
    options = {"userns": True, "hostname": "level-10", "pids": 20}
    done = libct.run(command, capture_output=True, text=True, **options)
    print(done.stdout + done.stderr, end="")


def exercise(command, data):
    """Run the command by libct.run(): data as /data, 64 MiB of memory, 20 processes, no more.

    Return what libct.run() returns.  docs/sandbox.md has the options.  All else stays as it is by
    default: no network, and the host's files read-only.
    """


def check_on_host(host):
    """On the host: the command is one that says what it has."""
    script = """
        i=0; while [ $i -lt 30 ]; do sleep 1 & i=$((i+1)); done; wait  # forbidden: 20 processes
        """
    done = exercise(["sh", "-c", "echo it was here >/data/result"], host.data)
    assert done is not None, "exercise() returns nothing"
    assert Path(f"{host.data}/result").exists(), f"the command has left nothing in data: {done}"
    done = exercise(["sh", "-c", script], host.data)
    assert done.returncode != 0, "it may have more than 20 processes"
    done = exercise(["python3", "-c", "bytearray(b'x') * (256 << 20)"], host.data)
    assert done.ended_by == "memory", "it may have more than 64 MiB of memory"


if __name__ == "__main__":
    lesson.main(__file__)

"""The same bundles under Debian's runc and under libct: what is seen from inside must be the same.

A difference is a bug, or is one of those listed in docs/compatibility.md; then
the function of this module that hides it names the sentence there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import socket
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from libct.syscalls.mounts import umount2
from tests.support import (
    CHECKOUT,
    CLONE_NEWNS,
    busybox_rootfs,
    change_config,
    default_spec,
    in_namespaces,
    libct_command,
    libct_environment,
    make_bundle,
    mount as kernel_mount,
    requires,
    run,
    session_directory,
    unique,
    wait_until,
)
from tests.terminals import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Sections = dict[str, list[str]]

pytestmark = [requires("root", "busybox", "runc"), pytest.mark.usefixtures("nothing_left")]

# Of a shell, which has changed nothing of what it was started with.
PROBE = r"""
at() { echo "== $1"; }
at status; cat /proc/$$/status
at mountinfo; cat /proc/$$/mountinfo
at limits; cat /proc/$$/limits
at cgroup; cat /proc/$$/cgroup
at namespaces; for n in /proc/$$/ns/*; do echo "${n##*/} $(readlink $n)"; done
at label; cat /proc/$$/attr/current 2>&1
at descriptors; ls -l /proc/self/fd
at environment; tr '\0' '\n' </proc/$$/environ
at directories; readlink /proc/$$/cwd; readlink /proc/$$/root; stat -c '%F %a %u:%g' .
at devices; find /dev ! -path '/dev/pts/[0-9]*' -exec stat -c '%N %F %a %u:%g %t:%T' {} + | sort
at maps; cat /proc/$$/uid_map /proc/$$/gid_map /proc/$$/setgroups
at attributes
for name in oom_score_adj loginuid sessionid personality coredump_filter timens_offsets comm; do
    echo "$name $(cat /proc/$$/$name 2>&1 | tr '\n' ' ')"
done
# Process group, session, terminal, nice value and scheduling, relative to the process.
sed 's/^\([0-9]*\) (.*) . //' /proc/$$/stat | while read line; do
    set -- $line
    echo "leads $(($2 == $$)) $(($3 == $$)) $4 priority ${15} ${16} policy ${38}"
done
at network; cut -d: -f1 /proc/net/dev; cat /sys/class/net/*/flags 2>&1
at host; hostname
at sysctls; cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward 2>&1
at paths
for path in /proc/kcore /proc/keys /proc/timer_list /proc/acpi /proc/scsi /sys/firmware; do
    stat -c '%n %F %a %t:%T' $path 2>&1; ls -A $path 2>&1 | head -n 3
done
at writable
for path in / /etc /proc/sys/kernel/hostname /proc/sysrq-trigger /sys /sys/fs/cgroup /dev /mnt; do
    [ -w $path ] && echo "$path may be written"
done
true
"""
# Fields of proc_pid_status(5) that tell of what a runtime decides.
STATUS = (
    *("Name", "Umask", "PPid", "TracerPid", "Uid", "Gid", "Groups", "NStgid", "NSpgid", "NSsid"),
    *("Threads", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"),
    *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"),
    *("Seccomp", "Seccomp_filters", "Speculation_Store_Bypass", "SpeculationIndirectBranch"),
    *("Cpus_allowed", "Mems_allowed", "CoreDumping", "THP_enabled"),
)


class Exempt(NamedTuple):
    """A difference that may be.

    sentence: of docs/compatibility.md.  section, runc, libct: regular expressions
        for where it is and for the lines that each has and the other has not;
        "" where there is none.  tests: for which tests' names it holds.
    """

    sentence: str
    section: str
    runc: str = ""
    libct: str = ""
    tests: str = ""


class Runtime:
    """A runtime's command line, and its name for a container.

    user: for the ordinary user.
    """

    def __init__(self, name: str, directory: Path, *, user: bool = False) -> None:
        self.name, self.user, self.id = name, user, unique(name)
        self.root = directory / f"state-{name}"
        self.environment = libct_environment(user=user) if name == "libct" else {}

    def command(self, *args: str | os.PathLike[str]) -> list[str]:
        words = [os.fspath(arg) for arg in args]
        if self.name == "libct":
            return libct_command(*words, root=self.root, user=self.user)
        return ["runc", "--root", str(self.root), *words]

    def __call__(self, *args: str | os.PathLike[str], check: bool = True) -> str:
        done = run(self.command(*args), user=self.user, env=self.environment, check=check)
        return done.stdout


def sections(output: str, runtime: Runtime) -> Sections:
    """What the probe has printed, without what no two containers have in common."""
    # (runc may copy some of it before it has made its own terminal raw.)
    text = re.sub("\r+\n", "\n", output).replace(runtime.id, "ID")
    found: Sections = {}
    for part in text.split("== ")[1:]:
        title, _, body = part.partition("\n")
        found[title] = body.splitlines()
    assert "writable" in found, f"the probe has not come to its end: {output}"
    for title, normal in NORMAL.items():
        found[title] = normal(found[title])
    return found


def _status(lines: list[str]) -> list[str]:
    """The process and its parent by name, for they are of the host where it shares the pids."""
    fields = dict(line.split(":", 1) for line in lines)
    names = {fields["Pid"].strip(): "SELF"}
    if fields["PPid"].strip() != "0":
        names[fields["PPid"].strip()] = "PARENT"
    for key in ("PPid", "NStgid", "NSpgid", "NSsid"):
        words = fields[key].split()
        fields[key] = " ".join(names.get(word, word) for word in words[-1:])
    return [f"{key}: {fields[key].strip()}" for key in STATUS if key in fields]


def _mounts(lines: list[str]) -> list[str]:
    """Without numbers, and sorted: the mounts on one place stay in their order."""
    points = {line.split()[0]: line.split()[4] for line in lines}
    found = []
    for line in lines:
        before, _, after = line.partition(" - ")
        _, parent, _, root, point, options, *peers = before.split()
        groups = "".join(" " + re.sub(r":\d+", "", peer) for peer in peers)
        on = points.get(parent, "what is outside")
        found.append(f"{point} on {on}: {root} {options}{groups} - {after}")
    return sorted(found, key=lambda line: line.split()[0])


def _namespaces(lines: list[str]) -> list[str]:
    """Whether each is that of the tests."""
    found = []
    for line in lines:
        kind, link = line.split()
        same = link == os.readlink(f"/proc/self/ns/{kind}")
        found.append(f"{kind} {'of the host' if same else 'new'}")
    return found


def _descriptors(lines: list[str]) -> list[str]:
    """The numbers, and what devices are called; one more is of the command that looks."""
    found = []
    for line in lines[1:]:
        number, target = line.partition(" -> ")[0].split()[-1], line.partition(" -> ")[2]
        found.append(f"{number} {target if target.startswith('/dev/') else ''}".strip())
    return found


def _squeezed(lines: list[str]) -> list[str]:
    return [" ".join(line.split()) for line in lines]


NORMAL: dict[str, Callable[[list[str]], list[str]]] = {
    "status": _status,
    "mountinfo": _mounts,
    "namespaces": _namespaces,
    "descriptors": _descriptors,
    "limits": _squeezed,
    "maps": _squeezed,
}

EXEMPT = [
    Exempt(
        "the empty directory that covers them is one small tmpfs",
        "mountinfo",
        runc=r"- tmpfs tmpfs ro(,uid=\d+,gid=\d+)?$",
        libct=r"- tmpfs tmpfs ro,size=4k,nr_inodes=2(,uid=\d+,gid=\d+)?$",
    ),
    Exempt(
        "a read-only mount of type cgroup is read-only as a whole",
        "mountinfo",
        runc="^/sys/fs/cgroup on [^:]*: / rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs ",
        libct="^/sys/fs/cgroup on [^:]*: / ro,nosuid,nodev,noexec,relatime - tmpfs tmpfs ",
    ),
    Exempt(
        "a read-only mount of type cgroup is read-only as a whole",
        "writable",
        runc="^/sys/fs/cgroup may be written$",
    ),
    Exempt(
        "The source of each hierarchy's mount is called `cgroup`",
        "mountinfo",
        runc=r"^/sys/fs/cgroup/systemd .* - cgroup systemd ",
        libct=r"^/sys/fs/cgroup/systemd .* - cgroup cgroup ",
    ),
    Exempt(
        "a tmpfs over a directory gets the directory's mode as its mount option",
        "mountinfo",
        runc=r"^/(new/deep|usr) on /: / r[wo],relatime - tmpfs name rw$",
        libct=r"^/(new/deep|usr) on /: / r[wo],relatime - tmpfs name rw,mode=755$",
    ),
    Exempt(
        "runc 1.1 takes no notice of it unless another one sets something",
        "mountinfo",
        runc="^/mnt/(exec|rw) on /: / rw,nosuid,nodev,noexec,noatime - tmpfs strict rw",
        libct="^/mnt/(exec|rw) on /: / rw,noatime - tmpfs strict rw",
        tests="strict_source",
    ),
    Exempt(
        "with runc and crun it stays `noatime`",
        "mountinfo",
        runc="^/mnt/atime(-ro)? on /: / r[wo],(nosuid,nodev,noexec,)?noatime - tmpfs strict rw",
        libct="^/mnt/atime(-ro)? on /: / r[wo],relatime - tmpfs strict rw",
        tests="strict_source",
    ),
    Exempt(
        "What `maskedPaths` or `readonlyPaths` name twice is covered once",
        "mountinfo",
        runc="^/proc/(tty|bus) on /proc/",
        libct="^/proc/(tty|bus) on /proc:",
        tests="masked_twice",
    ),
    Exempt(
        "/dev/mqueue in a user namespace** belongs to nobody",
        "devices",
        runc="^/dev/mqueue directory 1777 0:65534 ",
        libct="^/dev/mqueue directory 1777 65534:65534 ",
        tests="user namespace|locked",
    ),
    Exempt(
        "runc 1.1 applies that to the first process only",
        "status",
        runc="^Umask: 0022$",
        libct="^Umask: 0027$",
        tests=r"test_exec\[user\]",
    ),
    Exempt(
        "runc keeps the group of the first process",
        "status",
        runc=r"^Gid: 0\s+0\s+0\s+0$",
        libct=r"^Gid: 1000\s+1000\s+1000\s+1000$",
        tests="user and capability",
    ),
]


def compare(runc: Sections, libct: Sections) -> None:
    """Fail with the lines that one has and the other has not, but for those that are exempt."""
    probed = set(re.findall(r"^at (\w+)", PROBE, re.MULTILINE))
    for sections in (runc, libct):
        assert set(sections) >= probed
        assert len(sections["status"]) > 15
        assert len(sections["mountinfo"]) > 5
    test = os.environ["PYTEST_CURRENT_TEST"]
    exempt = [at for at in EXEMPT if re.search(at.tests, test)]
    found = []
    for title in sorted({*runc, *libct}):
        ours, theirs = Counter(libct.get(title, [])), Counter(runc.get(title, []))
        for name, lines in (("runc", theirs - ours), ("libct", ours - theirs)):
            patterns = [getattr(at, name) for at in exempt if at.section == title]
            found += [
                f"{name} only, in {title}: {line}"
                for line in lines.elements()
                if not any(pattern and re.search(pattern, line) for pattern in patterns)
            ]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def test_what_is_exempt_is_documented() -> None:
    page = " ".join((CHECKOUT / "docs/compatibility.md").read_text().split())
    for at in EXEMPT:
        assert at.sentence in page


# --- bundles ---

SPEC = default_spec()
KINDS = [space["type"] for space in SPEC["linux"]["namespaces"]]
MAPS = {
    "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
    "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 65536}],
}
SOME = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"]
SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")


def namespaces(*left_out: str, more: tuple[str, ...] = ()) -> dict[str, Any]:
    kinds = [kind for kind in (*KINDS, *more) if kind not in left_out]
    return {"namespaces": [{"type": kind} for kind in kinds]}


def binds(source: Path) -> list[dict[str, Any]]:
    """Mounts with all kinds of options, of a directory with a file in it."""
    options = [
        ["bind"],
        ["rbind", "ro"],
        ["bind", "rslave", "nosuid"],
        ["rbind", "rshared"],
        ["rbind", "noatime", "nodiratime", "rprivate"],
        ["bind", "unbindable"],
        ["rbind", "private", "strictatime", "nodev"],
        ["bind", "relatime", "noexec", "sync"],
    ]
    found: list[dict[str, Any]] = [
        {"destination": f"/mnt/{number}", "type": "bind", "source": str(source), "options": words}
        for number, words in enumerate(options)
    ]
    file = {"destination": "/new/file", "source": f"{source}/file", "options": ["bind", "ro"]}
    sized = ["size=1m", "mode=1770", "uid=5", "nosuid", "noexec"]
    temporary = [("/mnt/tmp", sized), ("/tmp", ["nodev"]), ("/new/deep", []), ("/usr", ["ro"])]
    found += [{**file, "type": "none"}]
    found += [
        {"destination": path, "type": "tmpfs", "source": "name", "options": words}
        for path, words in temporary
    ]
    found.append({"destination": "/mnt/proc", "type": "proc", "source": "proc", "options": ["ro"]})
    return found


BUNDLES: dict[str, dict[str, Any]] = {
    "default": {},
    "read-only root": {"root": {"readonly": True}},
    "user namespace": {"linux": {**MAPS, **namespaces(more=("user",))}},
    "limits": {
        "linux": {
            "resources": {
                "memory": {"limit": 1 << 26, "reservation": 1 << 25},
                "pids": {"limit": 30},
                "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
            }
        }
    },
    "few namespaces": {
        "hostname": None,
        "linux": namespaces("pid", "ipc", "uts", "network", "cgroup"),
    },
    "no cgroup namespace": {"linux": namespaces("cgroup")},
    "capabilities": {"process": {"capabilities": dict.fromkeys(SETS, SOME)}},
    "no capabilities": {"process": {"capabilities": None}},
    "user": {
        "process": {
            "user": {"uid": 1000, "gid": 29, "additionalGids": [2000, 7], "umask": 0o27},
            "cwd": "/home/user",
            "env": ["A=b", "PATH=/bin", "HOME=/nowhere"],
            "capabilities": dict.fromkeys(SETS[:4], SOME),
        }
    },
    "user without a home": {
        "process": {"user": {"uid": 1000, "gid": 1000}, "env": ["PATH=/bin", "A=1", "A=2"]}
    },
    "unknown user": {"process": {"user": {"uid": 4321, "gid": 1}, "cwd": "/tmp"}},
    "rlimits": {
        "process": {
            "rlimits": [
                # Not a lower soft one: Go raises that, and runc may not lower it in time.
                {"type": "RLIMIT_NOFILE", "soft": 128, "hard": 128},
                {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
                {"type": "RLIMIT_NPROC", "soft": 100, "hard": 200},
                {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 1 << 21},
            ]
        }
    },
    "no rlimits": {"process": {"rlimits": []}},
    "oom score": {"process": {"oomScoreAdj": 321}},
    "hostname and sysctls": {
        "hostname": "some-host",
        "linux": {"sysctl": {"kernel.msgmax": "1000", "net.ipv4.ip_forward": "1"}},
    },
    "new privileges": {"process": {"noNewPrivileges": False, "cwd": "/new/dir"}},
    "devices": {
        "linux": {
            "devices": [
                {
                    "path": "/dev/fuse",
                    "type": "c",
                    "major": 10,
                    "minor": 229,
                    "fileMode": 0o640,
                    "uid": 1,
                    "gid": 2,
                },
                {"path": "/dev/sub/dir/loop", "type": "b", "major": 7, "minor": 0},
                {"path": "/dev/fifo", "type": "p", "fileMode": 0o600},
            ]
        }
    },
    "slave root": {"linux": {"rootfsPropagation": "slave"}},
    "nothing masked": {"linux": {"maskedPaths": [], "readonlyPaths": []}},
}


@pytest.fixture(scope="module")
def rootfs() -> Path:
    """With the probe in it."""
    path = busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))
    path.parent.chmod(0o755)
    (path / "probe").write_text(PROBE)
    return path


def strict_binds(rootfs: Path) -> list[dict[str, Any]]:
    """Binds of what an earlier mount has made, with options of its own."""
    strict = ["nosuid", "nodev", "noexec", "noatime", "mode=755"]
    made = [{"destination": "/home", "type": "tmpfs", "source": "strict", "options": strict}]
    options = [
        *([], ["ro"], ["nosuid", "exec"], ["nodev", "rw"], ["sync"], ["rprivate"], ["defaults"]),
        *(["noatime"], ["relatime"], ["strictatime", "noatime"], ["nodiratime"], ["exec"], ["rw"]),
        *(["atime"], ["atime", "ro"]),
    ]
    for words in options:
        at = f"/mnt/{'-'.join(words) or 'plain'}"
        more = ["bind", *words]
        source = f"{rootfs}/home"
        made.append({"destination": at, "type": "bind", "source": source, "options": more})
    return made


def bundle_of(rootfs: Path, *args: str, **changes: Any) -> Path:
    """A bundle where root of a user namespace can get to it."""
    place = Path(tempfile.mkdtemp(dir=session_directory()))
    place.chmod(0o755)
    return make_bundle(place, rootfs=rootfs, args=args, **changes)


def runtimes(bundle: Path, *, user: bool = False) -> Iterator[Runtime]:
    """Each runtime, with the bundle made ready for it."""
    for name in ("runc", "libct"):
        runtime = Runtime(name, bundle, user=user)
        if not user:
            change_config(bundle, linux={"cgroupsPath": f"/{runtime.id}"})
        try:
            yield runtime
        finally:
            runtime("delete", "--force", runtime.id)


def ran(bundle: Path, *, user: bool = False) -> list[Sections]:
    """What the probe sees as the container's own process, under runc and under libct."""
    return [
        sections(runtime("run", "--bundle", bundle, runtime.id), runtime)
        for runtime in runtimes(bundle, user=user)
    ]


@pytest.mark.parametrize("name", BUNDLES)
def test_run(rootfs: Path, name: str) -> None:
    runc, libct = ran(bundle_of(rootfs, "sh", "/probe", **BUNDLES[name]))
    compare(runc, libct)


def test_run_with_many_mounts(rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    mounts = [*SPEC["mounts"], *binds(tmp_path)]
    runc, libct = ran(bundle_of(rootfs, "sh", "/probe", mounts=mounts))
    compare(runc, libct)


def test_run_with_binds_of_a_strict_source(rootfs: Path) -> None:
    mounts = [*SPEC["mounts"], *strict_binds(rootfs)]
    runc, libct = ran(bundle_of(rootfs, "sh", "/probe", mounts=mounts))
    compare(runc, libct)


def test_run_with_destinations_that_begin_with_the_rootfs(rootfs: Path, tmp_path: Path) -> None:
    options = {"source": str(tmp_path), "options": ["bind"]}
    mounts = [
        {"destination": at, "type": "bind", **options}
        for at in (f"{rootfs}/mnt", f"/{rootfs}/./home/", f"{rootfs}-other/x")
    ]
    runc, libct = ran(bundle_of(rootfs, "sh", "/probe", mounts=[*SPEC["mounts"], *mounts]))
    assert any(line.startswith("/home on /: ") for line in libct["mountinfo"])
    compare(runc, libct)


def test_run_with_paths_that_are_masked_twice(rootfs: Path) -> None:
    paths = {
        "maskedPaths": ["/proc/acpi", "/proc/tty", "/proc/tty"],
        "readonlyPaths": ["/proc/bus"] * 2,
    }
    runc, libct = ran(bundle_of(rootfs, "sh", "/probe", linux=paths))
    assert len([line for line in libct["mountinfo"] if line.startswith("/proc/tty ")]) == 1
    compare(runc, libct)


def test_unknown_options_of_a_cgroup_mount(rootfs: Path) -> None:
    """runc 1.1 takes no notice of them in a mount of type cgroup, as its sentence says."""
    for kind, status in (("cgroup2", {"runc": 1, "libct": 1}), ("cgroup", {"runc": 0, "libct": 1})):
        cgroup = {"destination": "/mnt", "type": kind, "source": "cgroup", "options": ["bogus"]}
        bundle = bundle_of(rootfs, "true", mounts=[*SPEC["mounts"], cgroup])
        for runtime in runtimes(bundle):
            words = runtime.command("run", "--bundle", bundle, runtime.id)
            assert run(words, env=runtime.environment).returncode == status[runtime.name], kind


def test_run_with_sources_of_earlier_mounts(rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    mounts = [
        {"destination": at, "type": kind, "source": str(source), "options": words}
        for at, kind, source, words in (
            ("/home", "bind", tmp_path, ["bind", "ro"]),
            ("/mnt", "bind", rootfs / "home", ["bind"]),
            ("/tmp", "bind", rootfs / "mnt/sub", ["bind", "nosuid"]),
        )
    ]
    runc, libct = ran(bundle_of(rootfs, "sh", "/probe", mounts=[*SPEC["mounts"], *mounts]))
    compare(runc, libct)


def test_run_with_a_source_that_is_locked(rootfs: Path) -> None:
    place = Path(tempfile.mkdtemp(dir=session_directory()))
    binds = {"/mnt": ["rw"], "/root": [], "/home": ["exec", "dev"], "/tmp": ["atime"]}
    mounts = [
        {"destination": at, "type": "bind", "source": str(place), "options": ["rbind", *words]}
        for at, words in binds.items()
    ]
    linux = {**MAPS, **namespaces(more=("user",))}
    bundle = bundle_of(rootfs, "sh", "/probe", mounts=[*SPEC["mounts"], *mounts], linux=linux)

    def body() -> list[Sections]:
        kernel_mount("tmpfs", str(place), "tmpfs", 1 | 2 | 4 | 8 | 1024)  # MS_RDONLY to MS_NOATIME
        return ran(bundle)

    runc, libct = in_namespaces(CLONE_NEWNS, body)
    for at in binds:
        line = f"{at} on /: / ro,nosuid,nodev,noexec,noatime"
        assert any(one.startswith(line) for one in libct["mountinfo"]), at
    compare(runc, libct)


@requires("user")
def test_run_as_an_ordinary_user(rootfs: Path) -> None:
    bundle = bundle_of(rootfs, "sh", "/probe")
    (bundle / "config.json").unlink()
    make_bundle(bundle, rootfs=rootfs, args=("sh", "/probe"), rootless=True)
    runc, libct = ran(bundle, user=True)
    compare(runc, libct)


def at_a_terminal(runtime: Runtime, *args: str | os.PathLike[str]) -> Sections:
    with Session(runtime.command(*args), runtime.environment) as session:
        text = session.read_until("== terminal\r(.|\n)*== end\r")
        assert session.end() == 0
    return sections(text.replace("== end\r", ""), runtime)


def test_run_at_a_terminal(rootfs: Path) -> None:
    script = "sh /probe; echo == terminal; tty; stty size; stty -a; echo == end"
    bundle = bundle_of(rootfs, "sh", "-c", script, process={"terminal": True})
    runc, libct = [
        at_a_terminal(runtime, "run", "--bundle", bundle, runtime.id)
        for runtime in runtimes(bundle)
    ]
    compare(runc, libct)


# --- exec ---

OPTIONS: dict[str, list[str]] = {
    "nothing": [],
    "user": ["--user", "1000:29", "--additional-gids", "7", "--cwd", "/tmp", "--env", "A=b"],
    "capability": ["--cap", "CAP_NET_ADMIN"],
    "user and capability": ["--user", "1000", "--cap", "CAP_NET_ADMIN"],
    "no new privileges": ["--no-new-privs"],
}
ENTERED = (
    *("default", "user namespace", "few namespaces", "no cgroup namespace", "user", "rlimits"),
    *("capabilities", "new privileges", "oom score"),
)


def executed(bundle: Path, *options: str) -> list[Sections]:
    """What the probe sees as a further process, under runc and under libct."""
    found = []
    for runtime in runtimes(bundle):
        runtime("run", "--detach", "--bundle", bundle, runtime.id)
        output = runtime("exec", *options, runtime.id, "sh", "/probe")
        found.append(sections(output, runtime))
    return found


@pytest.mark.parametrize("name", ENTERED)
def test_exec(rootfs: Path, name: str) -> None:
    runc, libct = executed(bundle_of(rootfs, "sleep", "1000", **BUNDLES[name]))
    compare(runc, libct)


@pytest.mark.parametrize("options", OPTIONS)
def test_exec_with_options(rootfs: Path, options: str) -> None:
    change = {"process": {"noNewPrivileges": False}}
    runc, libct = executed(bundle_of(rootfs, "sleep", "1000", **change), *OPTIONS[options])
    compare(runc, libct)


def test_exec_of_a_process_file(rootfs: Path, tmp_path: Path) -> None:
    process = {
        "args": ["sh", "/probe"],
        "cwd": "/usr",
        "env": ["PATH=/bin", "A=1"],
        "user": {"uid": 1, "gid": 2, "additionalGids": [3]},
        "capabilities": dict.fromkeys(SETS[:4], SOME),
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}],
        "oomScoreAdj": 99,
    }
    path = tmp_path / "process.json"
    path.write_text(json.dumps(process))
    found = []
    bundle = bundle_of(rootfs, "sleep", "1000")
    for runtime in runtimes(bundle):
        runtime("run", "--detach", "--bundle", bundle, runtime.id)
        found.append(sections(runtime("exec", "--process", path, runtime.id), runtime))
    compare(*found)


def test_exec_at_a_terminal(rootfs: Path) -> None:
    script = "sh /probe; echo == terminal; tty; stty size; stty -a; echo == end"
    bundle = bundle_of(rootfs, "sleep", "1000")
    found = []
    for runtime in runtimes(bundle):
        runtime("run", "--detach", "--bundle", bundle, runtime.id)
        found.append(at_a_terminal(runtime, "exec", "--tty", runtime.id, "sh", "-c", script))
    compare(*found)


NODES = {"null": 13, "zero": 15, "full": 17, "random": 18, "urandom": 19, "tty": 50}
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "core": "/proc/kcore",
    "ptmx": "pts/ptmx",
}

# --- what is said ---


class Said(NamedTuple):
    """A start that fails, and what runc says: a regular expression.

    libct: likewise, where newer versions of runc than 1.1 say something else.
    changes: of the configuration.  command: what is executed.
    files: of the rootfs, with their contents, also in the place of a directory; -> makes a link.
    """

    runc: str
    changes: dict[str, Any] = {}
    libct: str = ""
    command: str = "/bin/true"
    files: dict[str, str] = {}


def _mounted(destination: str, source: str, kind: str, *options: str) -> dict[str, Any]:
    mount = {"destination": destination, "type": kind, "source": source, "options": list(options)}
    return {"mounts": [*SPEC["mounts"], mount]}


def _not_mounted(source: str, destination: str) -> str:
    """Only the words that follow are each runtime's own."""
    return re.escape(
        "unable to start container process: error during container init: error mounting"
        f' "{source}" to rootfs at "{destination}": '
    )


def _hooked(kind: str, *paths: str) -> dict[str, Any]:
    return {"hooks": {kind: [{"path": path} for path in paths]}}


def _shell_hook(script: str, **changes: Any) -> dict[str, Any]:
    return {
        "hooks": {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script], **changes}]}
    }


_HOOKS = (
    *("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"),
)
_AROUND = {"around": "->around"}
SPACES = [{"type": kind} for kind in ("mount", "pid", "uts", "ipc")]
_LOOP = "too many levels of symbolic links"
_ORDINARY = "filesystem .* must be mounted on ordinary directory"
SAID: dict[str, Said] = {
    "no source, by its errno": Said(
        "no such file or directory", _mounted("/mnt", "/no/such", "bind", "bind")
    ),
    "a working directory that is a file": Said(
        "not a directory", {"process": {"cwd": "/etc/passwd"}}
    ),
    "no network namespace": Said(
        "no such file or directory",
        {"linux": {"namespaces": [*SPACES, {"type": "network", "path": "/no/such"}]}},
    ),
    "below proc": Said(
        "cannot be mounted because it is inside /proc",
        _mounted("/proc/sys", "/etc", "bind", "bind"),
    ),
    "not proc": Said(
        '/proc" cannot be mounted because it is not of type proc',
        _mounted("/proc", "/etc", "bind", "bind"),
    ),
    "masked by a link to itself": Said(
        "can't mask path /around", {"linux": {"maskedPaths": ["/around"]}}, files=_AROUND
    ),
    "read-only by a link to itself": Said(
        'can\'t make "/around" read-only', {"linux": {"readonlyPaths": ["/around"]}}, files=_AROUND
    ),
    "masked, by its errno": Said(_LOOP, {"linux": {"maskedPaths": ["/around"]}}, files=_AROUND),
    "no arguments": Said("args must not be empty", {"process": {"args": []}}),
    "a hook with a status": Said("exit status 7", _shell_hook("exit 7")),
    "a hook that is killed": Said("signal: killed", _shell_hook("kill -9 $$")),
    "a hook that is ended": Said("signal: terminated", _shell_hook("kill $$")),
    "a hook that takes its time": Said(
        "hook ran past specified timeout of 1.0s", _shell_hook("exec sleep 100", timeout=1)
    ),
    **{
        f"{kind} cannot be run": Said(
            "fork/exec /no/such: no such file or directory", _hooked(kind, "/no/such")
        )
        for kind in _HOOKS
    },
    "no interpreter": Said(
        "exec /run.sh: no such file or directory", command="/run.sh", files={"run.sh": "#!/no/sh\n"}
    ),
    "no format": Said(
        "exec /run.sh: exec format error", command="/run.sh", files={"run.sh": "text\n"}
    ),
    "no format, in PATH": Said(
        "exec /usr/sbin/run.sh: exec format error", command="run.sh", files={"bin/run.sh": "text\n"}
    ),
    "no command": Said('exec: "/no/sh": stat /no/sh: no such file or directory', command="/no/sh"),
    "no command in PATH": Said(
        r'exec: "no-sh": executable file not found in \$PATH', command="no-sh"
    ),
    "below a file": Said('exec: "/bin/sh/x": stat /bin/sh/x: not a directory', command="/bin/sh/x"),
    "around": Said(
        'exec: "/around": stat /around: too many levels of symbolic links',
        command="/around",
        files={"around": "->around"},
    ),
    "no program in PATH": Said(
        r'exec: "data": executable file not found in \$PATH',
        command="data",
        files={"bin/data": "->../etc/passwd"},
    ),
    "no program": Said('exec: "/etc/passwd": permission denied', command="/etc/passwd"),
    "a directory": Said('exec: "/etc": permission denied', command="/etc"),
    "no source": Said(
        _not_mounted("/no/such", "/mnt"), _mounted("/mnt", "/no/such", "bind", "bind")
    ),
    "no filesystem": Said(_not_mounted("a", "/mnt"), _mounted("/mnt", "a", "nofs")),
    "no option": Said(_not_mounted("a", "/mnt"), _mounted("/mnt", "a", "tmpfs", "size=x")),
    "a directory on a file": Said(
        _not_mounted("/etc", "/etc/passwd"), _mounted("/etc/passwd", "/etc", "bind", "bind")
    ),
    "a file below a file": Said(
        _not_mounted("tmpfs", "/etc/passwd/x"), _mounted("/etc/passwd/x", "tmpfs", "tmpfs")
    ),
    "in proc": Said(
        _not_mounted("/etc", "/proc/sys"), _mounted("/proc/sys", "/etc", "bind", "bind")
    ),
    "proc is a link": Said(_not_mounted("proc", "/proc"), files={"proc": "->tmp"}),
    "proc must be ordinary": Said(_ORDINARY, files={"proc": "->tmp"}),
    "proc is a file": Said(_ORDINARY, files={"proc": ""}),
    "sysfs is a link": Said(_not_mounted("sysfs", "/sys"), files={"sys": "->tmp"}),
    "sysfs must be ordinary": Said(_ORDINARY, files={"sys": "->tmp"}),
    **{
        f"{kind} {number}": Said(
            f"error running hook #{number}: ",
            _hooked(kind, *paths),
            f"error running {kind} hook #{number}: ",
        )
        for kind in _HOOKS
        for number, paths in enumerate((["/bin/false"], ["/bin/true", "/no/such"]))
    },
}


def said_by(runtime: Runtime, pattern: str, *args: str | os.PathLike[str]) -> str:
    """What matches in one line of what the runtime says, the only one if that is libct's."""
    done = run(runtime.command(*args), user=runtime.user, env=runtime.environment)
    lines = [line.replace('\\"', '"') for line in (done.stdout + done.stderr).splitlines()]
    assert len(lines) == 1 or runtime.name == "runc", lines
    found = [found.group() for line in lines if (found := re.search(pattern, line))]
    assert len(found) == 1, f"{runtime.name} does not say {pattern}: {lines}"
    return found[0]


@pytest.mark.parametrize("name", SAID)
def test_a_start_that_fails(name: str) -> None:
    said = SAID[name]
    root = busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))
    for path, text in said.files.items():
        if (root / path).is_dir():
            (root / path).rmdir()
        if text.startswith("->"):
            (root / path).symlink_to(text[2:])
        else:
            (root / path).write_text(text)
            (root / path).chmod(0o755)
    bundle = bundle_of(root, said.command, **said.changes)
    runc, libct = [
        said_by(runtime, pattern, "run", "--bundle", bundle, runtime.id)
        for runtime, pattern in zip(runtimes(bundle), (said.runc, said.libct or said.runc))
    ]
    assert runc == libct or said.libct


@requires("cgroup1")
def test_unified_on_v1(rootfs: Path, tmp_path: Path) -> None:
    unified = {"unified": {"pids.max": "9"}}
    (tmp_path / "resources").write_text(json.dumps(unified))
    bundle = bundle_of(rootfs, "sleep", "1000")
    words = "invalid configuration: cannot use unified on cgroup v1"
    for runtime in runtimes(bundle):
        runtime("run", "--detach", "--bundle", bundle, runtime.id)
        update = ("update", "--resources", tmp_path / "resources", runtime.id)
        done = run(runtime.command(*update), env=runtime.environment)
        assert words in done.stderr.splitlines()[-1]
    refused = bundle_of(rootfs, "true", linux={"resources": unified})
    for runtime in runtimes(refused):
        said_by(runtime, words, "run", "--bundle", refused, runtime.id)


@pytest.mark.parametrize(
    ("options", "command", "words"),
    [
        ([], "/etc/run.sh", "exec /etc/run.sh: no such file or directory"),
        (
            ["--cwd", "/no"],
            "true",
            r'chdir to cwd \("/no"\) set in config.json failed: no such file',
        ),
        (["--cwd", "/etc/run.sh"], "true", r"config.json failed: not a directory"),
        ([], "/no/sh", 'exec: "/no/sh": stat /no/sh: no such file or directory'),
        (["--cgroup", ".."], "true", r"\.\. is not a sub cgroup path"),
        (["--cgroup", "pids:a/../../b"], "true", r"a/\.\./\.\./b is not a sub cgroup path"),
    ],
)
def test_an_exec_that_fails(options: list[str], command: str, words: str) -> None:
    root = busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))
    (root / "etc/run.sh").write_text("#!/no/sh\n")
    (root / "etc/run.sh").chmod(0o755)
    bundle = bundle_of(root, "sleep", "1000")
    for runtime in runtimes(bundle):
        runtime("run", "--detach", "--bundle", bundle, runtime.id)
        # Since 1.3 that of v2 begins so.
        newer = "bad sub cgroup path: " * (runtime.name == "libct" and "--cgroup" in options)
        said_by(runtime, newer + words, "exec", *options, runtime.id, command)


@pytest.mark.parametrize("text", ["#!/no/sh\n", "text\n"])
def test_the_status_of_what_execve_refuses(rootfs: Path, tmp_path: Path, text: str) -> None:
    """docs/compatibility.md: A command that execve(2) refuses."""
    command = rootfs / "etc/refused"
    command.write_text(text)
    command.chmod(0o755)
    bundle = bundle_of(rootfs, "/etc/refused")
    sleeping = bundle_of(rootfs, "sleep", "1000")
    wanted = {"runc": [0, 0, 0, 1], "libct": [1, 1, 255, 255]}
    for runtime in runtimes(bundle):
        found = []
        run(runtime.command("create", "--bundle", bundle, runtime.id), check=True)
        commands: list[list[str | os.PathLike[str]]] = [
            ["start"],
            ["run", "--detach", "--bundle", bundle],
            ["exec", "--detach"],
            ["exec"],
        ]
        for words in commands:
            more = []
            if words[0] == "run":
                runtime("delete", "--force", runtime.id)
            elif words == ["exec", "--detach"]:
                runtime("delete", "--force", runtime.id)
                run(
                    runtime.command("run", "--detach", "--bundle", sleeping, runtime.id), check=True
                )
            if words[0] == "exec":
                more = ["/etc/refused"]
            found.append(run(runtime.command(*words, runtime.id, *more)).returncode)
        assert found == wanted[runtime.name]


def test_what_has_nothing_to_start_from(rootfs: Path, tmp_path: Path) -> None:
    bundle = bundle_of(rootfs, "sleep", "1000")
    for runtime in runtimes(bundle):
        words = "JSON specification file config.json not found"
        said_by(runtime, words, "run", "--bundle", tmp_path, runtime.id)
        for name in ("a b", "a/b", "-a=", "."):
            words = "invalid container ID format"
            said_by(runtime, words, "run", "--bundle", bundle, "--", name)
        runtime("run", "--detach", "--bundle", bundle, runtime.id)
        said_by(runtime, "process args cannot be empty", "exec", runtime.id)


def test_a_start_or_a_pause_at_the_wrong_time(rootfs: Path) -> None:
    bundle = bundle_of(rootfs, "sleep", "1000")
    for runtime in runtimes(bundle):
        runtime("run", "--detach", "--bundle", bundle, runtime.id)
        said_by(runtime, "cannot start an already running container", "start", runtime.id)
        runtime("pause", runtime.id)
        said_by(runtime, "container not running", "pause", runtime.id)
        runtime("resume", runtime.id)
        runtime("kill", runtime.id, "KILL")
        wait_until(lambda: '"stopped"' in runtime("state", runtime.id))  # noqa: B023
        said_by(runtime, "cannot start a container that has stopped", "start", runtime.id)


def test_exec_in_a_container_that_does_not_run(rootfs: Path) -> None:
    bundle = bundle_of(rootfs, "sleep", "1000")
    paused = r"cannot exec in a paused container \(use --ignore-paused to override\)"
    for runtime in runtimes(bundle):
        runtime("run", "--detach", "--bundle", bundle, runtime.id)
        runtime("pause", runtime.id)
        said_by(runtime, paused, "exec", runtime.id, "true")
        runtime("resume", runtime.id)
        runtime("kill", runtime.id, "KILL")
        wait_until(lambda: '"stopped"' in runtime("state", runtime.id))  # noqa: B023
        said_by(runtime, "cannot exec in a stopped container", "exec", runtime.id, "true")


@requires("cgroup1")
def test_a_start_in_a_frozen_group(rootfs: Path) -> None:
    bundle = bundle_of(rootfs, "true")
    for runtime in runtimes(bundle):
        group = Path("/sys/fs/cgroup/freezer", runtime.id)
        group.mkdir()
        try:
            (group / "freezer.state").write_text("FROZEN")
            words = "container's cgroup unexpectedly frozen"
            said_by(runtime, words, "run", "--bundle", bundle, runtime.id)
        finally:
            if group.exists():
                group.rmdir()


@pytest.mark.parametrize(
    ("controller", "resources"),
    [
        ("pids", {"pids": {"limit": 9}}),
        ("memory", {"memory": {"reservation": 1 << 25}}),
        ("cpu", {"cpu": {"shares": 512}}),
        ("cpuset", {"cpu": {"cpus": "0"}}),
        ("cpuset", {"cpu": {"mems": "0"}}),
    ],
)
@requires("user", "cgroup1")
def test_a_limit_that_an_ordinary_user_cannot_set(
    rootfs: Path, controller: str, resources: dict[str, Any]
) -> None:
    bundle = bundle_of(rootfs, "true")
    (bundle / "config.json").unlink()
    make_bundle(
        bundle, rootfs=rootfs, args=("true",), rootless=True, linux={"resources": resources}
    )
    words = f"cannot set {controller} limit: container could not join or create cgroup"
    for runtime in runtimes(bundle, user=True):
        said_by(runtime, words, "run", "--bundle", bundle, runtime.id)


@requires("user", "cgroup1")
def test_an_ordinary_users_container_without_groups(rootfs: Path) -> None:
    bundle = bundle_of(rootfs, "sleep", "1000")
    make_bundle(bundle, rootfs=rootfs, args=("sleep", "1000"), rootless=True)
    for runtime in runtimes(bundle, user=True):
        runtime("create", "--bundle", bundle, runtime.id)
        for options, controller in (
            (["--pids-limit", "9"], "pids"),
            (["--memory", "100M"], "memory"),
            (["--cpu-share", "512"], "cpu"),
            (["--cpuset-cpus", "0"], "cpuset"),
        ):
            words = f"cannot set {controller} limit: container could not join or create cgroup"
            said_by(runtime, f"(?<!error: ){words}", "update", *options, runtime.id)
        words = "cannot toggle freezer: cgroups not configured for container"
        said_by(runtime, words, "pause", runtime.id)


def test_pids_without_a_limit(rootfs: Path) -> None:
    bundle = bundle_of(rootfs, "sh", "-c", ": | cat", linux={"resources": {"pids": {}}})
    for runtime in runtimes(bundle):
        runtime("run", "--bundle", bundle, runtime.id)


@pytest.mark.parametrize("what", ["file", "link", "directory", "nothing"])
def test_a_device_where_the_image_has_something(rootfs: Path, what: str) -> None:
    """Nobody's data is removed for it.  Another node is: docs/compatibility.md."""
    look = "stat -c '%F %a %t:%T %s' /opt/new; cat /etc/passwd | wc -l; ls -A /opt"
    found = []
    for runtime in runtimes(
        bundle := bundle_of(
            rootfs,
            *("sh", "-c", look),
            linux={"devices": [{"path": "/opt/new", "type": "c", "major": 1, "minor": 3}]},
        )
    ):
        with image_has(rootfs / "opt/new", what):
            found.append(runtime("run", "--bundle", bundle, runtime.id))
    assert found[0] == found[1]


@contextlib.contextmanager
def image_has(place: Path, what: str) -> Iterator[None]:
    place.parent.mkdir(exist_ok=True)
    if what == "file":
        place.write_text("data")
    elif what == "link":
        place.symlink_to("/etc/passwd")
    elif what == "directory":
        place.mkdir()
    yield
    shutil.rmtree(place.parent)


def test_a_dev_that_is_mounted_before_the_start(rootfs: Path) -> None:
    mounts = [one for one in SPEC["mounts"] if not one["destination"].startswith("/dev")]
    look = "find /dev -exec stat -c '%N %F %a %u:%g %t:%T' {} + | sort"
    bundle = bundle_of(rootfs, "sh", "-c", look, mounts=mounts)

    def body() -> list[str]:
        found = []
        for runtime in runtimes(bundle):
            kernel_mount("tmpfs", str(rootfs / "dev"), "tmpfs")
            for name, minor in NODES.items():
                os.mknod(rootfs / "dev" / name, 0o20640, os.makedev(minor // 10, minor % 10))
            for name, target in LINKS.items():
                (rootfs / "dev" / name).symlink_to(target)
            found.append(runtime("run", "--bundle", bundle, runtime.id))
            umount2(str(rootfs / "dev"))
        return found

    runc, libct = in_namespaces(CLONE_NEWNS, body)
    assert runc == libct


def through_a_socket(runtime: Runtime, bundle: Path) -> bytes:
    """What a container says on a terminal that whoever has the console socket reads from."""
    path = str(bundle / "console")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(20)
        runtime("run", "-d", "--console-socket", path, "--bundle", bundle, runtime.id)
        connected = listener.accept()[0]
        with connected:
            _, (master,), _, _ = socket.recv_fds(connected, 100, 1)
    os.unlink(path)
    said = b""
    try:
        while not said.endswith(b"end\r\n") and select.select([master], [], [], 20)[0]:
            said += os.read(master, 4096)
    finally:
        os.close(master)
    return said


def test_a_terminal_that_goes_to_a_console_socket(rootfs: Path) -> None:
    script = "tty; stty size; stty -a; echo end; sleep 1000"
    bundle = bundle_of(rootfs, "sh", "-c", script, process={"terminal": True})
    runc, libct = [through_a_socket(runtime, bundle) for runtime in runtimes(bundle)]
    assert runc == libct


@pytest.mark.parametrize("env", [None, [], ["A=b"]], ids=["absent", "empty", "given"])
def test_the_environment_of_hooks(rootfs: Path, tmp_path: Path, env: list[str] | None) -> None:
    """What a shell makes of it, which adds some itself."""
    kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststop"]
    script = "tr '\\0' '\\n' </proc/self/environ >"

    def hooks(kind: str) -> list[dict[str, Any]]:
        file = f"{'/mnt' if kind == 'startContainer' else tmp_path}/{kind}"
        hook = {"path": "/bin/sh", "args": ["sh", "-c", script + file]}
        return [hook if env is None else {**hook, "env": env}]

    mount = {"destination": "/mnt", "type": "bind", "source": str(tmp_path), "options": ["bind"]}
    bundle = bundle_of(
        rootfs,
        "true",
        hooks={kind: hooks(kind) for kind in kinds},
        mounts=[*SPEC["mounts"], mount],
        process={"env": ["PATH=/bin", "OF=command"]},
    )
    found = []
    for runtime in runtimes(bundle):
        runtime("run", "--bundle", bundle, runtime.id)
        texts = {kind: (tmp_path / kind).read_text().splitlines() for kind in kinds}
        own = [f"{name}={value}" for name, value in libct_environment().items()]
        own += [f"PWD={bundle}", f"PWD={os.getcwd()}", "LC_CTYPE=C.UTF-8"]  # Python's own
        found.append({kind: sorted({*texts[kind]} - {*own}) for kind in kinds})
    runc, libct = found
    for kind in kinds:
        assert {*libct[kind]} ^ {*runc[kind]} == set()
    assert ("OF=command" in libct["createContainer"]) == (env is None)


RULES = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229}]


@requires("cgroup1")
def test_a_configuration_that_is_written_carelessly(rootfs: Path) -> None:
    """Names in another case, twice, and letters that are no access."""
    rule = {**RULES[1], "access": "rwx"}
    script = "hostname; cat /proc/self/oom_score_adj; cat /sys/fs/cgroup/devices/devices.list"
    bundle = bundle_of(rootfs, "sh", "-c", script)
    spec = json.loads((bundle / "config.json").read_text())
    spec["HostName"] = "last"
    spec["Process"] = {**spec.pop("process"), "OOMScoreAdj": 77}
    spec["linux"]["Resources"] = {"Devices": [RULES[0], rule]}
    (bundle / "config.json").write_text(json.dumps(spec))
    runc, libct = [
        runtime("run", "--bundle", bundle, runtime.id).splitlines() for runtime in runtimes(bundle)
    ]
    assert libct[:2] == runc[:2] == ["last", "77"]
    assert sorted(libct) == sorted(runc)
    assert "c 10:229 rw" in libct


# --- an ordinary user ---


@requires("user", "cgroup1")
@pytest.mark.parametrize("path", [None, "/{}", "{}"], ids=["none", "absolute", "relative"])
def test_a_group_that_an_ordinary_user_may_not_use(rootfs: Path, path: str | None) -> None:
    """Only one that is asked for is needed."""
    bundle = bundle_of(rootfs, "true")
    make_bundle(bundle, rootfs=rootfs, args=("true",), rootless=True)
    for runtime in runtimes(bundle, user=True):
        if path is not None:
            change_config(bundle, linux={"cgroupsPath": path.format(runtime.id)})
        words = runtime.command("run", "--bundle", bundle, runtime.id)
        done = run(words, user=True, env=runtime.environment)
        assert (done.returncode == 0) == (path is None), f"{runtime.name}: {done.stderr}"
        assert ("ermission denied" in done.stderr) == (path is not None)


@requires("user")
def test_exec_before_the_start_by_an_ordinary_user(rootfs: Path) -> None:
    bundle = bundle_of(rootfs, "sleep", "1000")
    make_bundle(bundle, rootfs=rootfs, args=("sleep", "1000"), rootless=True)
    found = []
    for runtime in runtimes(bundle, user=True):
        runtime("create", "--bundle", bundle, runtime.id)
        before = sections(runtime("exec", runtime.id, "sh", "/probe"), runtime)
        assert json.loads(runtime("state", runtime.id))["status"] == "created"
        runtime("start", runtime.id)
        found.append(before)
    compare(*found)

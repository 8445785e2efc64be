"""Debian's own programs in a container: a real root filesystem, limits, and exec into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.debian import root_filesystem
from tests.support import (
    change_config,
    libct,
    make_bundle,
    read_config,
    requires,
    run,
    unique,
    wait_until,
)

pytestmark = [requires("root", "mmdebstrap"), pytest.mark.usefixtures("nothing_left")]

_SUITE = "bookworm"
_PACKAGES = ("perl-base", "python3-minimal")
_MIB = 1 << 20
_LIMITS = {"memory": {"limit": 64 * _MIB, "swap": 64 * _MIB}, "pids": {"limit": 24}}

# Forks until that fails, and says how many children there were; all wait for
# the end of a pipe, so that none is gone before the last is there.
_FORK = """
pipe(my $reader, my $writer);
my $children = 0;
while ($children < 200) {
    my $pid = fork;
    last unless defined $pid;
    if ($pid == 0) { close $writer; sysread $reader, my $byte, 1; exit 0 }
    $children++;
}
close $writer;
1 while wait != -1;
print "$children\\n";
"""


@pytest.fixture(scope="session")
def debian() -> Path:
    """A Debian root filesystem, made once and kept in the cache; containers get it read-only."""
    return root_filesystem(_SUITE, *_PACKAGES, variant="apt")


def _bundle(directory: Path, debian: Path, *args: str, **changes: Any) -> Path:
    """A bundle with the Debian read-only, a writable /tmp, and limits."""
    config = make_bundle(directory, args=args, rootfs=debian, root={"readonly": True}, **changes)
    mounts = read_config(config)["mounts"]
    for path in ("/tmp", "/run", "/var/cache/apt"):
        mounts.append({"destination": path, "type": "tmpfs", "source": "tmpfs"})
    change_config(config, mounts=mounts, linux={"resources": _LIMITS})
    return config


def test_apt_lists_what_is_installed(tmp_path: Path, debian: Path) -> None:
    bundle = _bundle(tmp_path, debian, "apt", "-qq", "list", "--installed")
    done = libct("run", "-b", bundle, unique("apt"), check=True)
    packages = {line.partition("/")[0] for line in done.stdout.splitlines()}
    assert packages >= {"apt", "dpkg", *_PACKAGES}


def test_apt_makes_and_reads_its_cache(tmp_path: Path, debian: Path) -> None:
    script = (
        "apt-cache -q=2 gencaches >&2 && apt-cache pkgnames | grep -x dpkg && ls /var/cache/apt"
    )
    bundle = _bundle(tmp_path, debian, "sh", "-c", script)
    done = libct("run", "-b", bundle, unique("cache"), check=True)
    assert done.stdout.split()[0] == "dpkg"
    assert "pkgcache.bin" in done.stdout


def test_perl_and_python_agree_about_the_packages(tmp_path: Path, debian: Path) -> None:
    status = "/var/lib/dpkg/status"
    perl = f"open F, '{status}'; print scalar(grep /^Package: /, <F>), qq(\\n)"
    python = f"print(sum(line.startswith('Package: ') for line in open('{status}')))"
    script = 'perl -e "$1" && python3 -c "$2" && dpkg-query --show | wc -l'
    bundle = _bundle(tmp_path, debian, "sh", "-ec", script, "sh", perl, python)
    done = libct("run", "-b", bundle, unique("perl"), check=True)
    counts = done.stdout.split()
    assert len(counts) == 3
    assert len(set(counts)) == 1
    assert int(counts[0]) > 50


def test_a_pipeline_gives_what_it_gives_outside(tmp_path: Path, debian: Path) -> None:
    words = "tr -cs A-Za-z '\\n' <{} | tr A-Z a-z | sort | uniq -c | sort -rn | head -20"
    text = "/usr/share/common-licenses/GPL-3"
    bundle = _bundle(
        tmp_path,
        debian,
        "sh",
        "-c",
        words.format(text),
        process={"env": ["LC_ALL=C", "PATH=/usr/bin:/bin"]},
    )
    done = libct("run", "-b", bundle, unique("pipe"), check=True)
    expected = run(
        ["sh", "-c", words.format(f"{debian}{text}")], env={"LC_ALL": "C"}, check=True
    ).stdout
    assert done.stdout == expected
    assert len(expected.splitlines()) == 20


def test_a_job_of_many_processes_and_its_exit_status(tmp_path: Path, debian: Path) -> None:
    script = """
        for n in 1 2 3 4 5 6; do
            (seq 1 20000 | sha256sum >/tmp/sum.$n) &
        done
        wait
        cat /tmp/sum.* | sort | uniq -c | wc -l
        ls /tmp/sum.* | wc -l
        exit 7
    """
    bundle = _bundle(tmp_path, debian, "sh", "-c", script)
    done = libct("run", "-b", bundle, unique("job"))
    assert (done.returncode, done.stdout.split()) == (7, ["1", "6"]), done.stderr


def test_the_limit_of_processes_holds(tmp_path: Path, debian: Path) -> None:
    bundle = _bundle(tmp_path, debian, "perl", "-e", _FORK)
    done = libct("run", "-b", bundle, unique("pids"), check=True)
    assert 10 < int(done.stdout) < _LIMITS["pids"]["limit"]


def test_the_limit_of_memory_holds(tmp_path: Path, debian: Path) -> None:
    small, large = (f"my $text = 'x' x {size * _MIB}; print length $text" for size in (20, 256))
    script = 'perl -e "$1"; perl -e "$2"; echo " status $?"'
    bundle = _bundle(tmp_path, debian, "sh", "-c", script, "sh", small, large)
    done = libct("run", "-b", bundle, unique("memory"), check=True)
    assert done.stdout.strip() == f"{20 * _MIB} status 137"  # SIGKILL: out of memory


def test_exec_enters_the_container_and_its_limits(tmp_path: Path, debian: Path) -> None:
    name = unique("exec")
    bundle = _bundle(tmp_path, debian, "sleep", "1000", hostname="debian-box")
    libct("create", "-b", bundle, name, check=True)
    try:
        libct("start", name, check=True)
        # Process 1 of its /proc is the container's, and so is the hostname.
        script = "tr '\\0' ' ' </proc/1/cmdline; hostname; cat /proc/sys/kernel/hostname"
        seen = libct("exec", name, "sh", "-c", script, check=True)
        assert seen.stdout == "sleep 1000 debian-box\ndebian-box\n"

        inside = libct(
            "exec",
            "--cwd",
            "/usr/share",
            "--env",
            "COLOUR=green",
            "--user",
            "33:33",
            name,
            "perl",
            "-MCwd",
            "-e",
            "print join q( ), getcwd, $ENV{COLOUR}, $>, (split q( ), $))[0]",
        )
        assert inside.stdout == "/usr/share green 33 33", inside.stderr

        forks = libct("exec", name, "perl", "-e", _FORK, check=True)
        assert 10 < int(forks.stdout) < _LIMITS["pids"]["limit"]

        assert libct("exec", name, "sh", "-c", "exit 5").returncode == 5
        assert libct("exec", name, "sh", "-c", "kill -9 $$").returncode == 137

        libct("kill", name, "KILL", check=True)
        assert wait_until(lambda: '"stopped"' in libct("state", name, check=True).stdout)
        assert libct("exec", name, "true").returncode != 0
    finally:
        libct("delete", "--force", name)

"""What a sandbox sees: each option, as root and as an ordinary user, on the command line."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import pytest

import libct
from libct.cli.manual_texts import TEXTS
from libct.config.mount_flags import MS_BIND, MS_REC, MS_SHARED
from libct.sandbox.config import sandbox
from tests.commands import CHECKOUT
from tests.support import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    in_namespaces,
    libct as command,
    libct_command,
    libct_environment,
    mount,
    requires,
    session_directory,
    user_account,
)

pytestmark = [requires("root", "overlay"), pytest.mark.usefixtures("nothing_left")]

BOTH = pytest.mark.parametrize("user", [False, pytest.param(True, marks=requires("user"))])
# A root of nothing but programs.
PROGRAMS = ["--empty", "--ro", "/usr"] + [
    word for name in ("bin", "lib", "lib64") for word in ("--symlink", f"usr/{name}", f"/{name}")
]


def run(*words: str, user: bool = False, script: str, status: int = 0) -> str:
    done = command("sandbox", *words, "--", "/bin/sh", "-c", script, user=user)
    assert done.returncode == status, done.stderr
    return done.stdout


@pytest.fixture
def place() -> Path:
    """A directory that all may enter, with a file."""
    path = Path(tempfile.mkdtemp(dir=session_directory()))
    path.chmod(0o755)
    (path / "file").write_text("text\n")
    return path


@BOTH
def test_what_is_made(user: bool, place: Path) -> None:
    words = ["--dir", "/tmp/a/b", "--symlink", "../file", "/tmp/a/link"]
    script = "stat -c %F /tmp/a/b; cat /tmp/a/link; stat -c %a /tmp/file"
    words += ["--file", f"{place}/file:/tmp/file"]
    assert run(*words, user=user, script=script) == "directory\ntext\n644\n"


def test_contents_are_kept_to_the_byte() -> None:
    content = bytes(range(256)) * 3000
    done = libct.run(["cat", "/tmp/x"], file={"/tmp/x": content}, stdout=libct.PIPE, check=True)
    assert done.stdout == content


@pytest.mark.parametrize(
    ("words", "option", "reason"),
    [
        (["--file", "/etc/hostname:/etc/passwd"], "--file", "there is something at /etc/passwd"),
        (["--symlink", "a", "/etc/passwd"], "--symlink", "there is something at /etc/passwd"),
        (["--dir", "/usr/libct/x"], "--dir", "read-only file system"),
        (["--dir", "/etc/passwd/x"], "--dir", "not a directory"),
        (["--net", "/nowhere"], "--net", "no such file or directory"),
    ],
)
def test_what_cannot_be_made_is_told_by_the_option(
    words: list[str], option: str, reason: str
) -> None:
    done = command("sandbox", *words, "--", "true")
    assert done.returncode != 0
    assert f"[from {option}]" in done.stderr
    assert reason in done.stderr


@BOTH
def test_a_colon_in_a_path(user: bool, place: Path) -> None:
    (place / "a:ro").mkdir(mode=0o755)
    (place / "a:ro" / "file:1").write_text("text\n")
    source = f"{place}/a\\:ro"
    words = ["--bind", f"{source}:/tmp/b\\:c:ro", "--file", f"{source}/file\\:1:/tmp/d\\:e"]
    words += ["--tmpfs", "/tmp/f\\:1:1M", "--tmpfs", "/tmp/g\\:1M"]
    script = (
        "cat /tmp/b:c/file:1 /tmp/d:e; touch /tmp/b:c/x 2>/dev/null || echo no; ls -d /tmp/[fg]*"
    )
    assert run(*words, user=user, script=script) == "text\ntext\nno\n/tmp/f:1\n/tmp/g:1M\n"


@pytest.mark.parametrize("words", [["--bind", "/a\\:/b"], ["--file", "/etc/passwd:/b:/c"]])
def test_what_colons_do_not_separate(words: list[str]) -> None:
    done = command("sandbox", *words, "--", "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith(f"libct: {words[0]}: not SRC:DST")


def test_the_same_link_may_be_asked_for_again() -> None:
    words = ["--symlink", "x", "/tmp/l", "--symlink", "x", "/tmp/l"]
    assert run(*words, script="readlink /tmp/l") == "x\n"


@BOTH
def test_an_empty_root_has_what_is_asked_for(user: bool) -> None:
    text = run(*PROGRAMS, user=user, script="ls -A /; touch /x /etc/x 2>/dev/null || echo no")
    *names, last = text.split()
    assert last == "no"
    own = {"bin", "dev", "lib", "lib64", "proc", "run", "sys", "tmp", "usr"}
    assert own <= set(names) <= own | {"home", "root", "tmp"}
    assert "etc" not in names


@BOTH
def test_another_root(user: bool, place: Path) -> None:
    (place / "bin").symlink_to("usr/bin")
    (place / "lib").symlink_to("usr/lib")
    (place / "lib64").symlink_to("usr/lib64")
    (place / "usr").mkdir()
    words = ["--rootfs", str(place), "--ro", "/usr"]
    script = "ls -A /; cat /file; echo x > /file && cat /file"
    text = run(*words, user=user, script=script, status=2)
    assert text.endswith("usr\ntext\n")
    assert "etc" not in text
    if not user:  # it is root's
        assert run(*words, "--overlay", script="echo x > /file && cat /file") == "x\n"
    assert (place / "file").read_text() == "text\n"


@BOTH
@pytest.mark.parametrize("overlay", [False, True])
def test_without_proc_and_sys(user: bool, overlay: bool) -> None:
    words = ["--proc", "none", "--sys", "none", "--net", "host", *["--overlay"] * overlay]
    assert run(*words, user=user, script="ls -A /proc /sys") == "/proc:\n\n/sys:\n"


@BOTH
def test_a_device(user: bool) -> None:
    script = "test -c /dev/kmsg && ls -A /dev | grep -c vd; true"
    assert run("--dev", "/dev/kmsg", user=user, script=script) == "0\n"
    assert run(user=user, script="test -e /dev/kmsg; echo $?") == "1\n"


@BOTH
def test_nested_in_any_order(user: bool, place: Path) -> None:
    (place / "a/b").mkdir(parents=True)
    words = ["--tmpfs", f"{place}/a/b", "--ro", str(place), "--tmpfs", f"{place}/a"]
    script = f"cat {place}/file; touch {place}/a/b/x {place}/a/y; ls {place}/a {place}/a/b"
    text = run(*words, user=user, script=script)
    assert text == f"text\n{place}/a:\nb\ny\n\n{place}/a/b:\nx\n"
    assert os.listdir(place / "a/b") == []


@BOTH
def test_bubblewrap_s_words(user: bool, place: Path) -> None:
    words = ["--die-with-parent", "--new-session", "--net", "host", "--unshare-net"]
    words += ["--ro-bind", str(place), "/tmp/ro", "--dev-bind", str(place), "/tmp/rw"]
    words += ["--ro-bind-try", "/nowhere", "/x", "--dev-bind-try", "/nowhere", "/y"]
    words += ["--chdir", "/usr", "--clearenv", "--setenv", "A", "b=c", "--unsetenv", "LANG"]
    words += ["--size", "65536", "--tmpfs", "/tmp/s", "--tmpfs", "/tmp/t:4096"]
    script = """
        pwd; echo $A$LANG; ls /sys/class/net; cat /tmp/ro/file
        touch /tmp/ro/x 2>/dev/null || echo no; stat -f -c "%b" /tmp/s /tmp/t
    """
    lines = run(*words, user=user, script=script).split()
    assert lines == ["/usr", "b=c", "lo", "text", "no", "16", "1"]
    if not user:
        run(*words, script="touch /tmp/rw/new")
        assert (place / "new").exists()


@pytest.mark.parametrize("words", [["--ro-bind", "/a"], ["--ro-bind=/a"], ["--setenv", "A"]])
def test_words_that_are_missing(words: list[str]) -> None:
    done = command("sandbox", *words)
    assert done.returncode != 0
    assert "not followed by" in done.stderr


def test_ids_by_number() -> None:
    assert run("--uid", "5", "--gid", "7", script="id -u; id -g") == "5\n7\n"
    for who in (["-u", "nobody"], ["--uid", "65534"]):
        run(*who, script="cd && touch file && test $(stat -c %u .) = 65534")


@requires("user")
def test_an_ordinary_user_s_ids() -> None:
    script = "id -u; id -g; touch ~/x /tmp/x"
    assert run("--uid", "5", "--gid", "7", user=True, script=script) == "5\n7\n"


@requires("user")
def test_an_ordinary_user_s_subordinate_ids() -> None:
    text = run("--subids", user=True, script="cat /proc/self/uid_map; id -u")
    *lines, own = text.splitlines()
    uid = user_account().pw_uid
    assert int(own) == uid
    assert [uid, uid, 1] in [[int(word) for word in line.split()] for line in lines]
    assert len(lines) > 1


def test_root_in_a_user_namespace_has_no_rights_outside() -> None:
    """Over the network namespace of the host, for example."""
    script = "echo 1 > /proc/sys/net/ipv4/ip_forward; cat /proc/self/uid_map; touch ~/x"
    text = run("--userns", "--keep-caps", script=script)
    with open("/proc/self/uid_map") as file:
        assert text.split()[0] == file.read().split()[0]
    config, _ = sandbox(["true"], userns=True)
    assert "NEWUSER" in [space.type for space in config.namespaces]


@pytest.mark.parametrize("words", [[], ["--overlay"]])
def test_as_root_of_a_user_namespace_with_one_id(words: list[str]) -> None:
    line = libct_command("sandbox", *words, "--", "sh", "-c", "id -u; touch ~/x")
    env = {**os.environ, **libct_environment()}
    done = subprocess.run(["unshare", "-Ur", *line], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"0\n"), done.stderr


def test_a_network_namespace_by_its_path() -> None:
    def body() -> None:
        other = os.readlink("/proc/self/ns/net")
        script = "readlink /proc/self/ns/net"
        done = libct.run(
            ["sh", "-c", script], net="/proc/self/ns/net", stdout=libct.PIPE, text=True
        )
        assert done.stdout.strip() == other

    in_namespaces(CLONE_NEWNET, body)


def test_names_are_found_where_resolv_conf_leads_into_run() -> None:
    def body() -> None:
        work = Path(tempfile.mkdtemp(dir="/var/tmp"))
        mount("tmpfs", str(work), "tmpfs")
        for name in ("upper", "work", "run"):
            (work / name).mkdir()
        layers = f"lowerdir=/etc,upperdir={work}/upper,workdir={work}/work"
        mount("overlay", "/etc", "overlay", data=layers)
        mount(f"{work}/run", "/run", flags=MS_BIND)
        os.unlink("/etc/resolv.conf")
        os.mkdir("/run/resolver")
        Path("/run/resolver/stub.conf").write_text("nameserver 127.0.0.53\n")
        os.symlink("../run/resolver/stub.conf", "/etc/resolv.conf")
        for net, text in (("host", b"nameserver 127.0.0.53\n"), ("none", b"")):
            done = libct.run(["cat", "/etc/resolv.conf"], net=net, capture_output=True)
            assert done.stdout == text, done.stderr

    in_namespaces(CLONE_NEWNS, body)


@pytest.mark.parametrize("words", [[], ["--overlay"]])
def test_in_a_chroot(place: Path, words: list[str]) -> None:
    """Whose root is no mount point, on a mount that is shared with others."""

    def body() -> None:
        root = place / "root"
        for name, source in (("usr", "/usr"), ("etc", "/etc"), ("src", CHECKOUT)):
            (root / name).mkdir(parents=True)
            mount(str(source), str(root / name), flags=MS_BIND)
        for name in ("bin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        for name in ("proc", "dev", "dir"):
            (root / name).mkdir()
        mount("", "/", flags=MS_SHARED | MS_REC)
        script = "cd /; ls /.. /dir; touch /x /tmp/x; grep -c ' / / ' /proc/self/mountinfo"
        line = ["chroot", str(root), "/usr/bin/env", "PYTHONPATH=/src", "/usr/bin/python3"]
        line += ["-B", "-m", "libct", "sandbox", *words, "--", "sh", "-c", script]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert "mount -t proc proc /proc" in done.stderr
        mount("proc", str(root / "proc"), "proc")
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert "(there is no /dev/null here: mount or bind the host's first)" in done.stderr
        mount("/dev", str(root / "dev"), flags=MS_BIND)
        before = Path("/proc/self/mountinfo").read_text()
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert {"src", "usr", "proc", "tmp"} <= set(done.stdout.split()), done.stderr
        assert done.stdout.endswith("1\n")
        assert ("cannot touch '/x'" in done.stderr) is (not words)
        assert Path("/proc/self/mountinfo").read_text() == before

    in_namespaces(CLONE_NEWNS, body)


def test_as_root_without_the_rights_of_root() -> None:
    """As in a container of Docker's: in a user namespace, then."""
    script = "id -u; touch ~/x; readlink /proc/self/ns/user"
    line = ["setpriv", "--bounding-set", "-sys_admin,-net_admin"]
    line += libct_command("sandbox", "--", "sh", "-c", script)
    env = {**os.environ, **libct_environment()}
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "0"
    assert done.stdout.split()[1] != os.readlink("/proc/self/ns/user")


def test_where_proc_is_partly_covered_proc_none_is_advised() -> None:
    def body() -> None:
        mount("tmpfs", "/proc/scsi" if os.path.isdir("/proc/scsi") else "/proc/fs", "tmpfs")
        line = libct_command("sandbox", "--userns", "--", "true")
        env = {**os.environ, **libct_environment()}
        done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
        assert done.stderr.rstrip().endswith("; --proc none goes without) [from --proc]")
        line[line.index("--") : line.index("--")] = ["--proc", "none"]
        subprocess.run(line, env=env, check=True)

    in_namespaces(CLONE_NEWNS, body)


def test_the_examples_of_the_man_page() -> None:
    with tempfile.TemporaryDirectory(dir=session_directory()) as place:
        (Path(place) / "build").write_text("#!/bin/sh\necho >built\n")
        (Path(place) / "build").chmod(0o755)
        lines = [line for line in TEXTS["sandbox"].splitlines() if line.startswith("    libct ")]
        for line in lines:
            done = command(*shlex.split(line)[1:], cwd=place)
            assert done.returncode == 0, done.stderr
            assert done.stdout or "./build" in line
        assert len(lines) > 3
        assert (Path(place) / "built").exists()

"""`libct check` on this machine and on bundles: it says what a start would, and leaves nothing."""

from __future__ import annotations

import json
import os
import pty
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support import (
    busybox_rootfs,
    change_config,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    requires,
    session_directory,
    unique,
)

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]


@pytest.fixture(scope="module")
def rootfs() -> Path:
    made = busybox_rootfs(Path(tempfile.mkdtemp(dir=session_directory())))
    os.mkfifo(made / "bin/fifo", 0o755)
    os.mknod(made / "bin/zero", 0o755 | stat.S_IFCHR, os.makedev(1, 5))
    return made


def check(*words: str | os.PathLike[str], status: int = 0, **options: Any) -> list[dict[str, str]]:
    done = libct("check", "--json", *words, **options)
    assert done.stderr == ""
    assert done.returncode == status, done.stdout
    found = json.loads(done.stdout)
    assert found["ok"] is (status == 0)
    lines: list[dict[str, str]] = found["lines"]
    return lines


def test_the_host() -> None:
    lines = check()
    assert {line["section"] for line in lines} >= {"kernel", "namespaces", "control groups"}
    done = libct("check", check=True)
    assert "\033" not in done.stdout
    assert done.stdout.count("\n  ") >= len(lines)


@requires("user")
def test_network_devices_and_rdt() -> None:
    before = os.listdir("/sys/class/net")
    states = {line["name"]: line["state"] for line in check()}
    assert [states["veth"], states["network devices"]] == ["ok", "ok"]
    mounted = " - resctrl " in Path("/proc/self/mountinfo").read_text()
    assert states["Intel RDT"] == ("ok" if mounted else "note")
    assert os.listdir("/sys/class/net") == before
    done = libct("check", "--json", user=True)
    lines = {line["name"]: line for line in json.loads(done.stdout)["lines"]}
    assert lines["veth"]["state"] == "note"
    assert "for root only" in lines["network devices"]["text"]


def test_the_interpreter_is_the_one_that_is_run(tmp_path: Path) -> None:
    """Python takes PYTHONEXECUTABLE for its own name, also with -I."""
    seals = [
        [line for line in lines if line["name"] == "sealed interpreter"]
        for lines in (check(), check(env={"PYTHONEXECUTABLE": str(tmp_path / "none")}))
    ]
    assert seals[0] == seals[1] != []


@requires("user")
def test_an_ordinary_user() -> None:
    lines = check(user=True)
    (line,) = [line for line in lines if line["name"] == "user" and line["section"] == "users"]
    assert "get a user namespace where their configuration has none" in line["text"]

    (overlay,) = [line for line in lines if line["name"] == "overlay"]
    done = libct("sandbox", "--overlay", "--", "sh", "-c", ">/tmp/file", user=True)
    assert (overlay["state"] == "ok") == (done.returncode == 0), (overlay, done.stderr)


def test_color_on_a_terminal_only() -> None:
    def shown(**more: str) -> bytes:
        master, terminal = pty.openpty()
        environment = {**os.environ, **libct_environment(), "TERM": "xterm", **more}
        with subprocess.Popen(libct_command("check"), stdout=terminal, env=environment) as run:
            os.close(terminal)
            text = b""
            while True:
                try:
                    text += os.read(master, 4096)
                except OSError:  # hung up
                    break
            assert run.wait() == 0
        os.close(master)
        return text

    assert b"\033[32mok" in shown(NO_COLOR="")
    assert b"\033" not in shown(NO_COLOR="1")
    assert b"\033" not in shown(TERM="dumb")


def test_a_good_bundle_runs(tmp_path: Path, rootfs: Path) -> None:
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["true"])
    *_, last = check("-b", bundle)
    assert (last["section"], last["state"]) == ("bundle", "ok")
    assert "nothing speaks against a start" in last["text"]
    libct("run", "-b", bundle, unique(), check=True)


@pytest.mark.parametrize(
    ("changes", "place", "word"),
    [
        ({"process": {"args": ["no-such"]}}, "process.args[0]", "executable file not found"),
        ({"process": {"args": ["/etc/passwd"]}}, "process.args[0]", "permission denied"),
        ({"process": {"args": ["/no"]}}, "process.args[0]", "no such file or directory"),
        ({"process": {"args": ["needs-it"]}}, "process.args[0]", "/lib/no-such-loader"),
        # Nothing is read of what only looks like a file.
        ({"process": {"args": ["fifo"]}}, "process.args[0]", "permission denied"),
        ({"process": {"args": ["zero"]}}, "process.args[0]", "permission denied"),
        ({"process": {"cwd": "relative"}}, "process.cwd", ""),
        (
            {"mounts": [{"destination": "/mnt", "source": "/no/such", "options": ["bind"]}]},
            "mounts[0].source",
            "no such file or directory",
        ),
        (
            {"linux": {"namespaces": [{"type": "mount"}, {"type": "network", "path": "/no/net"}]}},
            "linux.namespaces[1].path",
            "",
        ),
        ({"root": {"path": "/no/such"}}, "root.path", ""),
        ({"hooks": {"prestart": [{"path": "/no/such"}]}}, "hooks.prestart[0].path", "no such file"),
        (
            {"hooks": {"createContainer": [{"path": "/"}]}},
            "hooks.createContainer[0].path",
            "no file",
        ),
        ({"hostname": 5}, "hostname", "not a string"),
    ],
)
def test_what_would_keep_it_from_starting(
    tmp_path: Path, rootfs: Path, changes: dict[str, Any], place: str, word: str
) -> None:
    script = rootfs / "bin" / "needs-it"
    script.write_text("#!/lib/no-such-loader\n")
    script.chmod(0o755)
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["true"])
    change_config(bundle, **changes)
    assert libct("run", "-b", bundle, unique()).returncode != 0
    errors = [line for line in check("-b", bundle, status=1) if line["state"] == "error"]
    assert place in [line["place"] for line in errors]
    assert any(word in line["text"] for line in errors)
    text = libct("check", "-b", bundle)
    assert text.returncode == 1
    assert f"error    {place}" in text.stdout


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path, rootfs: Path) -> None:
    """What the reader, the rules and a look at the host find, and what is only misspelled."""
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["no-such"])
    change_config(
        bundle,
        hostnam="x",
        process={"cwd": "relative"},
        mounts=[{"destination": "/mnt", "source": "/no/such", "options": ["bind", "romount"]}],
        hooks={"prestart": [{"path": "/no/such"}]},
        linux={"namespaces": [{"type": "mount"}, {"type": "usr"}], "sysctl": {"kernel.panic": "1"}},
    )
    found = [(line["place"], line["state"]) for line in check("-b", bundle, status=1)]
    for place in (
        "linux.namespaces[1].type",
        "process.cwd",
        "process.args[0]",
        "mounts[0].source",
        "mounts[0].options",
        "hooks.prestart[0].path",
        "linux.sysctl.kernel.panic",
    ):
        assert (place, "error") in found, place
    assert ("hostnam", "warning") in found
    run = libct("run", "-b", bundle, unique())
    assert "linux.namespaces[1].type" in run.stderr
    assert "process.cwd" in run.stderr


def test_no_bundle(tmp_path: Path) -> None:
    (line,) = [line for line in check("-b", tmp_path / "no", status=1) if line["state"] == "error"]
    assert "the bundle itself is missing" in line["text"]


def test_a_command_that_a_mount_may_bring(tmp_path: Path, rootfs: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    shutil.copy2(rootfs / "bin/busybox", tools / "true")
    bundle = make_bundle(tmp_path, rootfs=rootfs, args=["/mnt/true"])
    mounts = [{"destination": "/mnt", "source": str(tools), "options": ["bind"]}]
    change_config(bundle, mounts=mounts)
    lines = check("-b", bundle)
    assert [line["state"] for line in lines if line["place"] == "process.args[0]"] == ["warning"]
    libct("run", "-b", bundle, unique(), check=True)


@requires("user", "uidmap")
def test_ids_that_the_user_was_not_given(user_path: Path) -> None:
    bundle = make_bundle(user_path, rootless=True, args=["true"])
    assert check("-b", bundle, user=True)[-1]["state"] == "ok"
    maps = [{"containerID": 0, "hostID": 3_000_000_000, "size": 10}]
    change_config(bundle, linux={"uidMappings": maps, "gidMappings": maps})
    errors = [line for line in check("-b", bundle, status=1, user=True) if line["state"] == "error"]
    assert errors[0]["place"] == "linux.uidMappings[0]"
    assert "/etc/subuid" in errors[0]["text"]

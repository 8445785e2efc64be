"""Containers under Landlock rules."""

from __future__ import annotations

import errno
import json
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

import libct
from libct.cli.check_bundle import look
from libct.config import (
    NEWPID,
    NEWUSER,
    Capabilities,
    Config,
    Hook,
    Hooks,
    Landlock,
    Mount,
    Network,
)
from libct.errors import ConfigError, StepError
from libct.syscalls import landlock as calls
from libct.syscalls.constants import CAPABILITIES
from libct.syscalls.landlock_constants import (
    LANDLOCK_ACCESS_FS_EXECUTE,
    LANDLOCK_ACCESS_FS_MAKE_DIR,
    LANDLOCK_ACCESS_NET_BIND_TCP,
)
from libct.syscalls.process import capbset_drop, set_no_new_privs

from ..bundles import change_config, make_bundle
from ..commands import CHECKOUT, libct as libct_program
from ..containers import (
    PATH,
    USUAL,
    make_config,
    run,
    run_in,
    running,
    shared_rootfs,
    shell,
    state_directory,
)
from ..names import unique
from ..needs import requires
from ..processes import forked
from .test_waiting import eventually, opened, pss

pytestmark = [requires("root"), requires("landlock")]

TMP = Mount("/tmp", "tmpfs", "tmpfs")
MNT = Mount("/mnt", "tmpfs", "tmpfs")
WAYS = ["first", "waiting", "further", "member", "waiting member"]


def config_of(landlock: Landlock, **more: Any) -> Config:
    values: dict[str, Any] = {"no_new_privileges": True, **more}
    config = make_config(landlock=landlock, **values)
    config.mounts += [TMP, MNT]
    return config


def output_of(way: str, config: Config, script: str, **process: Any) -> str:
    """What a script writes that is a container's first process, or comes to be in another way."""
    command = ("sh", "-c", script)
    if way == "further":
        with running(config) as container:
            return run_in(container, *command, **process).output
    if "member" not in way:
        return _first(config, command, waiting="waiting" in way, **process)
    with running(make_config()) as other:
        path = f"/proc/{other.processes()[0]}/ns/pid"
        for space in config.namespaces:
            if space.type == NEWPID:
                space.path = path
        return _first(config, command, waiting="waiting" in way, **process)


def _first(config: Config, command: tuple[str, ...], *, waiting: bool, **process: Any) -> str:
    if not waiting:
        return run(config, *command, **process).output
    with (
        libct.create(state_directory(), unique(), config) as container,
        tempfile.TemporaryFile("w+") as file,
    ):
        values = {"env": [PATH], "stdin": file, "stdout": file, "stderr": file, **process}
        made = libct.Process(command, init=True, **values)
        container.start(made)
        container.exec()
        made.wait(60)
        file.seek(0)
        return file.read()


FILES = Landlock(read=["/bin", "/tmp", "/proc"], write=["/tmp"], execute=["/bin"])
TRY_FILES = """
grep NoNewPrivs /proc/self/status
cd /tmp
echo written >file && cat file
cat /etc/passwd
echo text >/mnt/file
mkdir /mnt/directory
cp /bin/busybox /tmp/copy && /tmp/copy true
ls /proc/$$/fd
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("privileges", [True, False], ids=["without new", "with new"])
@pytest.mark.parametrize("user", ["", "1000:1000"])
def test_files_are_used_as_the_rules_allow(way: str, user: str, *, privileges: bool) -> None:
    config = config_of(FILES, no_new_privileges=privileges)
    lines = output_of(way, config, TRY_FILES, user=user).splitlines()
    assert lines == [
        f"NoNewPrivs:\t{privileges:d}",
        "written",
        "cat: can't open '/etc/passwd': Permission denied",
        "sh: can't create /mnt/file: Permission denied",
        "mkdir: can't create directory '/mnt/directory': Permission denied",
        "sh: /tmp/copy: Permission denied",
        *"012",
    ]


@pytest.mark.parametrize("way", ["first", "waiting", "further"])
@pytest.mark.parametrize("privileges", [True, False], ids=["without new", "with new"])
@pytest.mark.parametrize("user", ["", "1000:1000"])
def test_so_they_are_in_a_user_namespace(way: str, user: str, *, privileges: bool) -> None:
    config = config_of(FILES, namespaces=(*USUAL, NEWUSER), no_new_privileges=privileges)
    output = output_of(way, config, TRY_FILES, user=user)
    assert "written" in output
    assert output.count("Permission denied") == 4


def test_who_waits_under_rules_holds_nothing_but_what_it_waits_by() -> None:
    with libct.create(state_directory(), unique(), config_of(FILES)) as container:
        process = libct.Process(["true"], init=True, env=[PATH])
        container.start(process)
        wanted = ["pipe"] * 4
        assert eventually(lambda: opened(process.pid) == wanted and 0 < pss(process.pid) < 700)


def test_a_rule_finds_what_the_user_could_not(tmp_path: Path) -> None:
    config = config_of(Landlock(read=["/bin", "/root/of/file"]))
    config.mounts.append(Mount("/root", "tmpfs", "tmpfs", data="mode=700"))
    config.mounts.append(Mount("/root/of", "tmpfs", "tmpfs"))
    config.mounts.append(Mount("/root/of/file", "/etc/hostname", "bind", 4096))
    assert shell(config, "cat /root/of/file || echo refused", user="1000").lines[-1] == "refused"


def test_a_kind_without_rules_is_not_restricted() -> None:
    done = shell(config_of(Landlock(execute=["/bin"])), "echo a >/mnt/a; cat /mnt/a /etc/group")
    assert done.lines[:2] == ["a", "root:x:0:"]


@pytest.mark.parametrize("field", ["read", "execute"])
def test_files_are_moved_and_linked_where_writing_is_not_restricted(
    tmp_path: Path, field: str
) -> None:
    """But not to where more may be done with them."""
    rootfs = tmp_path / "rootfs"
    shutil.copytree(shared_rootfs(), rootfs, symlinks=True)
    for name in ("a", "b", "allowed"):
        (rootfs / "data" / name).mkdir(parents=True)
    script = """
        cd /data; echo >a/1; echo >a/2
        mv a/1 b && ln a/2 b && echo done
        ln a/2 allowed || echo refused
    """
    rules = Landlock()
    setattr(rules, field, ["/bin", "/data/allowed"])
    lines = shell(config_of(rules, rootfs=str(rootfs)), script).lines
    assert lines == ["done", "ln: allowed/2: Invalid cross-device link", "refused"]


def test_rules_about_executing_do_not_see_files_in_memory() -> None:
    """As the documentation says; a filter prevents it."""
    code = """
import os
fd = os.memfd_create("name")
os.write(fd, open("/bin/true", "rb").read())
os.execve(fd, ["true"], {})
"""
    rules = json.dumps({"execute": ["/usr/bin/python3", "/lib", "/lib64", "/usr/lib"]})
    done = libct_program("sandbox", "--landlock", rules, "--", "python3", "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    code = "import os; os.execv('/bin/true', ['true'])"
    done = libct_program("sandbox", "--landlock", rules, "--", "python3", "-c", code)
    assert "PermissionError" in done.stderr


def test_a_link_is_a_rule_about_what_it_leads_to() -> None:
    assert shell(config_of(Landlock(execute=["/usr/bin"])), "ls /mnt && echo ran").lines == ["ran"]


@pytest.mark.parametrize("path", ["/to/pub", "/to/../to/pub/.", "/in/link", "/mnt/../to/link"])
def test_no_rule_s_path_leads_through_where_may_be_written(tmp_path: Path, path: str) -> None:
    """By its text it does not: by links, which the one who writes could put elsewhere."""
    rootfs = tmp_path / "rootfs"
    shutil.copytree(shared_rootfs(), rootfs, symlinks=True)
    (rootfs / "data/pub").mkdir(parents=True)
    (rootfs / "data/link").symlink_to("/bin")
    (rootfs / "to").symlink_to("data")
    (rootfs / "in").symlink_to("/data/")
    for rules in (
        Landlock(["/bin", path], ["/data", "/dev/null"]),
        Landlock(["/bin"], ["/dev/null", path, "/data"]),
    ):
        with pytest.raises(StepError, match="leads through '/data', which `write` has"):
            run(config_of(rules, rootfs=str(rootfs)), "true")
    rules = Landlock(["/bin", "/to", "/in/"], ["/data"])
    assert run(config_of(rules, rootfs=str(rootfs)), "ls", "/data").output == "link\npub\n"


@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize("change", ["mv /data/other /data/pub", "ln -s /root /data/pub"])
def test_an_exec_has_rules_about_what_the_first_process_had(
    tmp_path: Path, change: str, *, hold: bool
) -> None:
    """Where rules do not restrict writing, nothing that a path leads through may be trusted."""
    rootfs = tmp_path / "rootfs"
    shutil.copytree(shared_rootfs(), rootfs, symlinks=True)
    for name in ("pub", "other"):
        (rootfs / "data" / name).mkdir(parents=True)
    config = config_of(Landlock(read=["/bin", "/data/pub"]), rootfs=str(rootfs))
    with libct.create(state_directory(), unique(), config) as container:
        container.start(libct.Process(["sleep", "60"], init=True, env=[PATH]), hold=hold)
        container = libct.load(state_directory(), container.id)
        assert run_in(container, "sh", "-c", f"mv /data/pub /data/old; {change}").output == ""
        with pytest.raises(StepError, match="'/data/pub' is another file than when") as caught:
            run_in(container, "true")
        assert caught.value.place == 'annotations["org.libct.landlock"].read[1]'


@pytest.mark.parametrize("path", ["/proc/mounts", "/proc/1/exe", "/to/status"])
def test_a_link_of_proc_is_no_path_of_a_rule(tmp_path: Path, path: str) -> None:
    """It leads each process to its own: the one that finds a path is not the command."""
    rootfs = tmp_path / "rootfs"
    shutil.copytree(shared_rootfs(), rootfs, symlinks=True)
    (rootfs / "to").symlink_to("/proc/self")
    with pytest.raises(StepError, match=r"symbolic links.*leads each process to its own"):
        run(config_of(Landlock(["/bin", path]), rootfs=str(rootfs)), "true")


# Each in a directory that holds "file", "empty" (a directory) and "other".
TRY_WRITING = """
import fcntl, os, socket, sys
def attempt(name, call, *args):
    try:
        call(*args)
    except OSError as error:
        print(name, error.strerror)
os.chdir(sys.argv[1])
attempt("open", lambda: os.open("file", os.O_WRONLY))
attempt("truncate", lambda: os.truncate("file", 0))
attempt("create", lambda: os.open("new", os.O_RDONLY | os.O_CREAT))
attempt("mkdir", os.mkdir, "directory")
attempt("symlink", os.symlink, "to", "link")
attempt("mkfifo", os.mkfifo, "fifo")
attempt("bind", socket.socket(socket.AF_UNIX).bind, "socket")
attempt("rename", os.rename, "file", "other/file")
attempt("unlink", os.unlink, "third")
attempt("rmdir", os.rmdir, "empty")
fd = os.open(sys.argv[2], os.O_RDONLY)
attempt("ioctl", fcntl.ioctl, fd, 0x5401)  # TCGETS
"""


def test_all_that_changes_a_directory_is_writing(tmp_path: Path) -> None:
    for name in ("allowed", "other"):
        for directory in ("empty", "other"):
            (tmp_path / name / directory).mkdir(parents=True)
        for file in ("file", "third"):
            (tmp_path / name / file).write_text("text")
    rules = json.dumps({"write": [f"{tmp_path}/allowed", "/dev/zero"]})

    def tried(name: str, device: str) -> dict[str, str]:
        done = libct_program(
            *("sandbox", "--rw", tmp_path, "--landlock", rules, "--"),
            *("python3", "-c", TRY_WRITING, f"{tmp_path}/{name}", device),
            check=True,
        )
        return dict(line.split(" ", 1) for line in done.stdout.splitlines())

    assert tried("allowed", "/dev/zero") == {"ioctl": "Inappropriate ioctl for device"}
    refused = tried("other", "/dev/null")
    assert len(refused) == 11
    # A file that may not be moved to another directory is "on another device".
    assert refused.pop("rename") in ("Invalid cross-device link", "Permission denied")
    assert set(refused.values()) == {"Permission denied"}


@pytest.mark.parametrize("way", ["first", "waiting", "further"])
def test_tcp_is_used_as_the_rules_allow(way: str) -> None:
    rules = Landlock(bind_tcp=[8080], connect_tcp=[8080])
    config = config_of(rules, networks=[Network("loopback")])
    script = """
        nc -l -p 8081
        (echo answer | nc -l -p 8080) & sleep 0.3
        nc 127.0.0.1 8080 </dev/null; wait
        nc 127.0.0.1 8081 </dev/null
    """
    assert output_of(way, config, script).splitlines() == [
        "nc: bind: Permission denied",
        "answer",
        "nc: can't connect to remote host (127.0.0.1): Permission denied",
    ]


def test_signals_do_not_leave_their_scope() -> None:
    spaces = [kind for kind in USUAL if kind != NEWPID]
    for scope, expected in (["signal"], "sh: can't kill pid"), ([], "sent"):
        rules = Landlock(scope=scope, execute=["/bin"])
        with running(make_config()) as other:
            script = f"kill -0 {other.processes()[0]} && echo sent; kill -0 $$ && echo own"
            first, own = shell(config_of(rules, namespaces=spaces), script).lines
            assert first.startswith(expected)
            assert own == "own"


def test_the_processes_of_an_exec_are_no_part_of_the_first_one_s_scope() -> None:
    with running(config_of(Landlock(scope=["signal"]))) as container:
        assert "not permitted" in run_in(container, "kill", "-0", "1").output
        container.signal(0)  # the runtime is under no rules


@requires("user")
def test_abstract_sockets_do_not_leave_their_scope() -> None:
    name = unique()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        code = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0{name}')"
        for scope, expected in (["abstract_unix_socket"], "PermissionError"), ([], ""):
            rules = json.dumps({"scope": scope, "write": ["/dev"]})
            done = libct_program(
                *("sandbox", "--net", "host", "--landlock", rules, "--", "python3", "-c", code)
            )
            assert expected in done.stderr
            assert (done.returncode == 0) is (expected == "")


def test_the_processes_of_an_exec_may_not_trace_the_first_one() -> None:
    for rules, expected in (
        (Landlock(connect_tcp=[]), "cat: can't open '/proc/1/environ': Permission denied\n"),
        (None, "PATH=/bin\0HOME=/root\0"),
    ):
        with running(make_config(landlock=rules)) as container:
            assert run_in(container, "cat", "/proc/1/environ").output == expected


def test_nothing_is_mounted_under_rules_about_files() -> None:
    capabilities = Capabilities(["CAP_SYS_ADMIN"], ["CAP_SYS_ADMIN"], [], ["CAP_SYS_ADMIN"])
    script = "mount -t tmpfs none /mnt || umount /mnt || echo refused"
    config = config_of(Landlock(write=["/"]), capabilities=capabilities)
    assert shell(config, script).lines[-1] == "refused"


def test_hooks_of_a_start_in_the_container_are_under_the_rules() -> None:
    hooks = Hooks(start_container=[Hook("/bin/sh", ["sh", "-c", "echo a >/mnt/a"])])
    config = config_of(Landlock(write=["/tmp"]), hooks=hooks)
    with pytest.raises(StepError, match="can't create /mnt/a: Permission denied"):
        run(config, "true")


# -- errors


def test_a_path_that_is_not_there_is_named_with_its_place() -> None:
    text = "cannot allow reading /nowhere: .*No such file"
    with pytest.raises(StepError, match=text) as caught:
        run(config_of(Landlock(read=["/bin", "/nowhere"])), "true")
    assert caught.value.place == 'annotations["org.libct.landlock"].read[1]'


HINT = "both `execute` and `read`, where given, must cover the command"


@pytest.mark.parametrize("rules", [Landlock(execute=["/tmp"]), Landlock(read=["/tmp"])])
def test_a_command_that_the_rules_do_not_cover_says_so(rules: Landlock) -> None:
    with pytest.raises(StepError, match="permission denied") as caught:
        run(config_of(rules), "true")
    assert HINT in str(caught.value)
    with libct.create(state_directory(), unique(), config_of(rules)) as container:
        container.start(libct.Process(["true"], init=True, env=[PATH]))
        with pytest.raises(StepError, match="permission denied") as caught:
            libct.load(state_directory(), container.id).exec()
        assert HINT in str(caught.value)


def test_without_the_right_to_restrict_itself_a_start_fails() -> None:
    """A container that needs no rights of libct's, and has them all but this one."""

    def body() -> str:
        capbset_drop(CAPABILITIES["CAP_SYS_ADMIN"])
        config = Config(str(shared_rootfs()), landlock=Landlock(write=[]))
        with pytest.raises(StepError) as caught:
            run(config, "true")
        config.no_new_privileges = True
        assert run(config, "sh", "-c", "echo a >/run/a").output.count("Permission denied") == 1
        return str(caught.value)

    message = forked(body)
    assert "cannot enter the Landlock rules: landlock_restrict_self(" in message
    assert "Landlock needs process.noNewPrivileges, or CAP_SYS_ADMIN" in message


def test_what_the_kernel_lacks_is_refused_and_nothing_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("libct.life.checking.landlock_abi", lambda: 3)
    with pytest.raises(ConfigError, match=r"bind_tcp: needs version 4 .* this kernel has 3"):
        run(config_of(Landlock(bind_tcp=[])), "true")
    monkeypatch.setattr("libct.life.host.landlock_abi", lambda: 3)
    config = config_of(Landlock(read=["/bin", "/dev"], bind_tcp=[], best_effort=True))
    with libct.create(state_directory(), unique(), config) as container:
        assert any("bind_tcp: needs version 4" in one for one in container.warnings)
        script = "cat /etc/group; nc -l -p 8080 & sleep 0.3; kill $!"
        done = run_in(container, "sh", "-c", script, init=True)
    assert done.output.splitlines() == ["cat: can't open '/etc/group': Permission denied"]


# -- the command line


@pytest.mark.parametrize("rootless", [False, pytest.param(True, marks=requires("user"))])
def test_a_bundle_with_the_annotation(user_path: Path, tmp_path: Path, *, rootless: bool) -> None:
    place = user_path if rootless else tmp_path
    bundle = make_bundle(place, args=["sleep", "60"], rootless=rootless)
    rules = json.dumps({"read": ["/bin"], "write": ["/dev/null"]})
    change_config(bundle, annotations={"org.libct.landlock": rules})
    name = unique()

    def command(*args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return libct_program(*args, check=check, user=rootless, cwd=bundle)

    command("create", name)
    try:
        assert "cat: can't open" in command("exec", name, "cat", "/etc/group", check=False).stderr
        command("start", name)
        assert "cat: can't open" in command("exec", name, "cat", "/etc/group", check=False).stderr
        assert "enter the Landlock rules" in command("plan").stdout
    finally:
        command("delete", "--force", name)


def test_check_tells_what_the_kernel_lacks_of_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_bundle(tmp_path, rootfs=shared_rootfs())
    change_config(bundle, annotations={"org.libct.landlock": '{"scope": ["signal"]}'})
    for abi, expected in ((6, []), (5, ['annotations["org.libct.landlock"].scope'])):
        monkeypatch.setattr("libct.cli.check_bundle.landlock_abi", lambda abi=abi: abi)
        facts, _, _ = look(str(bundle))
        assert [place for place, level, _ in facts.findings if level == "error"] == expected


def test_a_sandbox_with_rules() -> None:
    rules = json.dumps({"write": ["/dev/null", "/tmp"], "connect_tcp": []})
    script = "echo a >/tmp/a && cat /tmp/a; echo b >/run/b"
    done = libct_program("sandbox", "--landlock", rules, "--", "sh", "-c", script)
    assert done.stdout == "a\n"
    assert "Permission denied" in done.stderr
    done = libct_program("sandbox", "--landlock", '{"wrote": []}', "--", "true")
    assert done.returncode == 125
    assert "libct: --landlock: unknown field: 'wrote' (known: best_effort, bind" in done.stderr


def test_the_example_of_the_documentation() -> None:
    text = (CHECKOUT / "docs" / "landlock.md").read_text()
    rules = text.partition("```json\n")[2].partition("```")[0]

    def sandboxed(*command: str) -> subprocess.CompletedProcess[str]:
        return libct_program("sandbox", "--landlock", rules, "--", *command)

    server = ("python3", "-m", "http.server", "-d", "/usr/share/doc")
    done = sandboxed("timeout", "1", *server, "8080")
    assert (done.returncode, done.stderr) == (124, "")
    assert sandboxed(*server, "8081").stderr.endswith("Permission denied\n")
    for command in (
        "cat /var/log/dpkg.log",
        "touch /tmp/file",
        "cp /bin/sh /tmp/sh",
        "mount -t tmpfs none /mnt",
    ):
        assert command in text
        assert "ermission denied" in sandboxed("sh", "-c", command).stderr


def test_check_tells_the_version() -> None:
    found = json.loads(libct_program("check", "--json").stdout)
    lines = [line for line in found["lines"] if line["name"] == "Landlock"]
    assert [line["text"] for line in lines] == [f"version {calls.landlock_abi_version()}"]


# -- the bindings


def test_the_calls_say_what_they_were_given() -> None:
    def body() -> None:
        with pytest.raises(OSError, match=r"landlock_create_ruleset\({handled_access_fs=0, ") as at:
            calls.landlock_create_ruleset()
        assert at.value.errno == errno.ENOMSG
        with pytest.raises(OSError, match="scoped=0x100}"):
            calls.landlock_create_ruleset(scoped=0x100)
        ruleset = calls.landlock_create_ruleset(
            LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_DIR, LANDLOCK_ACCESS_NET_BIND_TCP
        )
        with open("/etc/passwd") as file:
            text = "RULE_PATH_BENEATH, {allowed_access=LANDLOCK_ACCESS_FS_MAKE_DIR"
            with pytest.raises(OSError, match=text) as at:
                calls.landlock_add_path_beneath(ruleset, LANDLOCK_ACCESS_FS_MAKE_DIR, file.fileno())
            assert at.value.errno == errno.EINVAL
        with pytest.raises(OSError, match="port=65536}"):
            calls.landlock_add_net_port(ruleset, LANDLOCK_ACCESS_NET_BIND_TCP, 65536)
        set_no_new_privs()
        for _ in range(16):
            calls.landlock_restrict_self(ruleset)
        with pytest.raises(OSError, match="landlock_restrict_self") as at:
            calls.landlock_restrict_self(ruleset)
        assert at.value.errno == errno.E2BIG

    forked(body)

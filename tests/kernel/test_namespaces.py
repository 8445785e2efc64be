"""Namespaces: new, joined by path, shared; id maps; time offsets; and what hangs on them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap import servers
from libct.bootstrap.context import Context
from libct.bootstrap.joining import open_root_of
from libct.bootstrap.lending import Lender, lend_sources
from libct.cgroups.layout import detect
from libct.config import (
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWTIME,
    NEWUSER,
    NEWUTS,
    IDMap,
    Mount,
    TimeOffset,
)
from libct.config.mount_flags import MS_BIND
from libct.config.validate import facts_of_host
from libct.network import ready
from libct.syscalls import pidfds
from libct.syscalls.constants import CAPABILITIES
from libct.syscalls.credentials import capget, capset
from libct.syscalls.process import pidfd_open

from ..containers import (
    DEV,
    PATH,
    USUAL,
    make_config,
    run,
    running,
    shared_rootfs,
    shell,
    state_directory,
)
from ..support import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    as_user,
    forked,
    give_to_user,
    in_namespaces,
    mount,
    requires,
    unique,
    user_account,
    user_checkout,
    user_python,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from libct import Config

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

FILES = {
    NEWNS: "mnt",
    NEWPID: "pid",
    NEWUTS: "uts",
    NEWIPC: "ipc",
    NEWNET: "net",
    NEWUSER: "user",
    NEWCGROUP: "cgroup",
    NEWTIME: "time",
}
EVERY = tuple(FILES)
MAP = [IDMap(0, 100000, 65536)]


def namespaces(pid: int | str) -> dict[str, str]:
    return {kind: os.readlink(f"/proc/{pid}/ns/{name}") for kind, name in FILES.items()}


def inside(config: Config, **process: Any) -> dict[str, str]:
    """The namespaces of the first process of a container, asked for from outside."""
    with running(config, **process) as container:
        return namespaces(container.state()["pid"])


def config_for(kinds: Any, **changes: Any) -> Config:
    """A configuration that does not need what it has no namespace for."""
    names = [kind if isinstance(kind, str) else kind[0] for kind in kinds]
    if NEWNS not in names:
        changes = {"mounts": [], "devices": [], **changes}
    elif NEWPID not in names and NEWUSER in names:
        changes = {"mounts": [], **changes}  # no proc without a pid namespace of the user's
    return make_config(namespaces=kinds, **changes)


# --- new and shared ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*EVERY, "all", "none"])
@requires("timens")
def test_new_ones_are_new_and_others_are_shared(kind: str) -> None:
    kinds = {"all": EVERY, "none": ()}.get(kind, (kind,))
    host, found = namespaces("self"), inside(config_for(kinds))
    assert {name for name in EVERY if found[name] != host[name]} == set(kinds)


def test_a_hostname_of_its_own() -> None:
    config = make_config(hostname="box", domainname="example.org")
    assert shell(config, "hostname; cat /proc/sys/kernel/domainname").lines == [
        "box",
        "example.org",
    ]
    assert os.uname().nodename != "box"


def test_the_first_process_is_number_one() -> None:
    assert shell(make_config(), "echo $$").output == "1\n"


def test_a_network_namespace_made_ahead_is_for_one_container() -> None:
    """And who makes it goes back to the host's, which the next container may be in."""
    host = namespaces("self")[NEWNET]
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(running(make_config())) for _ in range(3)]
        found = [namespaces(each.state()["pid"])[NEWNET] for each in made]
    assert len({host, *found}) == 4
    others = tuple(kind for kind in USUAL if kind != NEWNET)
    assert inside(make_config(namespaces=others))[NEWNET] == host


# --- joined -------------------------------------------------------------------------------


@pytest.fixture
def holder(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process in new namespaces of all kinds, with a user namespace of ids 100000 on."""
    config = config_for(EVERY, uid_mappings=MAP, gid_mappings=MAP, hostname="theirs")
    with running(config) as container:
        yield container.state()["pid"]


def path_of(holder: int, kind: str) -> tuple[str, str]:
    return kind, f"/proc/{holder}/ns/{FILES[kind]}"


OTHERS = tuple(kind for kind in EVERY if kind != NEWNS)


@pytest.mark.parametrize("kind", [*OTHERS, "all"])
@requires("timens")
def test_each_is_joined_by_path(holder: int, kind: str) -> None:
    kinds = OTHERS if kind == "all" else (kind,)
    config = config_for([NEWNS, *(path_of(holder, one) for one in kinds)], mounts=[DEV])
    host, theirs, found = namespaces("self"), namespaces(holder), inside(config)
    assert found.pop(NEWNS) not in (host[NEWNS], theirs[NEWNS])
    assert found == {one: theirs[one] if one in kinds else host[one] for one in OTHERS}


def test_a_mount_namespace_is_joined_by_path() -> None:
    with subprocess.Popen(["unshare", "--mount", "sleep", "60"]) as helper:
        try:
            host = namespaces("self")
            assert wait_until(lambda: namespaces(helper.pid)[NEWNS] != host[NEWNS])
            found = inside(config_for([path_of(helper.pid, NEWNS)], mounts=[DEV]))
            assert found == namespaces(helper.pid)
        finally:
            helper.kill()


def test_a_mount_namespace_without_a_proc_is_joined_by_path() -> None:
    script = "mount -t tmpfs none /proc; echo; exec sleep 60"
    args = ["unshare", "--mount", "sh", "-c", script]
    with subprocess.Popen(args, stdout=subprocess.PIPE) as helper:
        assert helper.stdout is not None
        try:
            helper.stdout.readline()
            config = make_config(namespaces=[path_of(helper.pid, NEWNS)], mounts=[], devices=[])
            assert shell(config, "ls /proc; echo in").lines == ["in"]
        finally:
            helper.kill()


@pytest.mark.parametrize(
    "joined", [(NEWNET,), (NEWUSER, NEWNET), (NEWPID,), (NEWUSER, NEWPID), (NEWIPC, NEWUTS)]
)
def test_mixtures_of_new_and_joined(holder: int, joined: tuple[str, ...]) -> None:
    config = config_for(
        [path_of(holder, kind) if kind in joined else kind for kind in (NEWUSER, *USUAL)],
        uid_mappings=[] if NEWUSER in joined else MAP,
        gid_mappings=[] if NEWUSER in joined else MAP,
        mounts=[DEV],
    )
    theirs, found = namespaces(holder), inside(config)
    for kind in (NEWUSER, *USUAL):
        assert (found[kind] == theirs[kind]) == (kind in joined), kind


def test_in_a_joined_user_namespace_it_is_root() -> None:
    maps: dict[str, Any] = {
        "uid_mappings": [IDMap(0, 100000, 5), IDMap(5, 200000, 5)],
        "gid_mappings": MAP,
    }
    with running(make_config(namespaces=(*USUAL, NEWUSER), **maps)) as container:
        pid = container.state()["pid"]
        kinds = [*USUAL, (NEWUSER, f"/proc/{pid}/ns/user")]
        done = shell(make_config(namespaces=kinds), "id -u; cat /proc/self/uid_map")
        assert done.lines[0] == "0"
        assert [line.split() for line in done.lines[1:]] == [
            ["0", "100000", "5"],
            ["5", "200000", "5"],
        ]


@contextlib.contextmanager
def user_namespace(**files: str) -> Iterator[str]:
    """The path of a user namespace; files: what is written to its files, in this order."""
    with subprocess.Popen(["unshare", "--user", "sleep", "60"]) as helper:
        try:
            place = f"/proc/{helper.pid}"
            assert wait_until(
                lambda: os.readlink(f"{place}/ns/user") != os.readlink("/proc/self/ns/user")
            )
            for name, text in files.items():
                Path(place, name).write_text(text)
            yield f"{place}/ns/user"
        finally:
            helper.kill()


@pytest.mark.parametrize("wrong", [False, True])
def test_mappings_of_a_joined_user_namespace_are_compared(wrong: bool, tmp_path: Path) -> None:
    """Also where its path leads to no process: the kernel says what they are once it is joined."""
    shared_rootfs()
    state_directory()
    place = tmp_path / "user"
    place.touch()

    def body() -> None:
        rows = "0 100000 65536"
        with user_namespace(uid_map=rows, gid_map=rows) as path:
            mount(path, str(place), "", MS_BIND)
            assert facts_of_host().user_namespace_maps(str(place)) == (MAP, MAP)
        # Its last process has ended, and the namespace is there by the mount alone.
        assert facts_of_host().user_namespace_maps(str(place)) is None
        other = [IDMap(0, 100000, 10)]
        config = make_config(
            namespaces=(*USUAL, (NEWUSER, str(place))),
            uid_mappings=MAP,
            gid_mappings=other if wrong else MAP,
        )
        if wrong:
            with pytest.raises(libct.Error, match="namespace maps 0 100000 65536") as caught:
                shell(config, "true")
            assert "from linux.gidMappings" in str(caught.value)
        else:
            assert shell(config, "id -u").lines == ["0"]

    in_namespaces(CLONE_NEWNS, body)


def groups_of(pid: int) -> list[str]:
    text = Path(f"/proc/{pid}/status").read_text()
    return text.partition("Groups:")[2].splitlines()[0].split()


def test_roots_groups_do_not_enter_where_setgroups_is_denied() -> None:
    """They are the host's still, and nobody could give them up in there."""
    shared_rootfs()
    state_directory()

    def body() -> None:
        os.setgroups([0, 4321])
        rows = "0 100000 65536"
        with (
            user_namespace(setgroups="deny", uid_map=rows, gid_map=rows) as path,
            running(make_config(namespaces=(*USUAL, (NEWUSER, path)))) as container,
        ):
            process = libct.Process(["sleep", "60"], env=[PATH])
            container.run(process)
            for pid in (container.state()["pid"], process.pid):
                assert os.readlink(f"/proc/{pid}/ns/user") == os.readlink(path)
                assert groups_of(pid) == []
        assert os.getgroups() == [0, 4321]

    forked(body)


def test_a_user_namespace_without_a_gid_map_is_not_joined() -> None:
    with user_namespace(uid_map="0 100000 65536") as path:
        config = make_config(namespaces=(*USUAL, (NEWUSER, path)))
        with pytest.raises(libct.StepError, match="the user namespace has no gid map") as caught:
            run(config, "true")
    assert caught.value.op == "join"
    assert caught.value.hint == "write /proc/PID/gid_map of a process in it first"


def test_a_fifo_is_no_namespace_to_wait_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr("libct.life.creating.check", lambda *_: [])
    config = make_config(namespaces=(NEWNS, (NEWUTS, str(tmp_path / "fifo"))))

    def body() -> None:
        with pytest.raises(libct.StepError, match="Invalid argument") as caught:
            run(config, "true")
        assert caught.value.op == "join"

    forked(body, timeout=20)


@pytest.mark.parametrize(
    ("path", "errno", "text"),
    [
        ("/no/such/file", 2, "No such file or directory"),
        ("/etc/passwd", 22, "Invalid argument"),
        ("/proc/self/ns/net", 22, "Invalid argument"),
    ],
)
def test_paths_that_cannot_be_joined(
    monkeypatch: pytest.MonkeyPatch, path: str, errno: int, text: str
) -> None:
    monkeypatch.setattr("libct.life.creating.check", lambda *_: [])
    config = make_config(namespaces=(NEWNS, (NEWUTS, path)))
    with pytest.raises(libct.StepError) as caught:
        run(config, "true")
    error = caught.value
    assert (error.op, error.errno, error.strerror, error.path) == ("join", errno, text, path)
    assert error.place == "linux.namespaces[1]"


# --- id maps -------------------------------------------------------------------------------


def test_maps_are_written_by_root() -> None:
    maps = [IDMap(0, 100000, 1), IDMap(1, 300000, 10), IDMap(1000, 1000, 1)]
    config = make_config(namespaces=(*USUAL, NEWUSER), uid_mappings=maps, gid_mappings=maps)
    script = "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id -u; id -g"
    done = shell(config, script)
    found = [line.split() for line in done.lines]
    rows = [[str(at.container_id), str(at.host_id), str(at.size)] for at in maps]
    assert found == [*rows, *rows, ["allow"], ["0"], ["0"]]
    assert shell(config, "id -u; id -g", user="1000:1000").lines == ["1000", "1000"]
    with pytest.raises(libct.ConfigError, match=r"not mapped by linux\.uidMappings: 500"):
        run(config, "true", user="500:0")
    with pytest.raises(libct.StepError, match="group 65534 is not mapped in the user namespace"):
        run(config, "true", user="nobody")
    with pytest.raises(libct.StepError, match=r"one of the groups \[29, 2000\] is not mapped"):
        run(config, "true", user="user")


def test_a_map_that_the_kernel_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libct.life.creating.check", lambda *_: [])
    overlapping = [IDMap(0, 100000, 10), IDMap(5, 200000, 10)]
    config = make_config(namespaces=(*USUAL, NEWUSER), uid_mappings=overlapping, gid_mappings=MAP)
    with pytest.raises(libct.StepError) as caught:
        run(config, "true")
    assert (caught.value.op, caught.value.errno) == ("write_id_map", 22)
    assert caught.value.place == "linux.uidMappings"
    assert caught.value.path is not None
    assert caught.value.path.endswith("/uid_map")


# --- time ----------------------------------------------------------------------------------

OFFSETS = {"monotonic": TimeOffset(86400 * 1000, 0), "boottime": TimeOffset(86400 * 2000, 500)}


@requires("timens")
@pytest.mark.parametrize("more", [(), (NEWUSER,), (NEWUSER, NEWCGROUP)])
def test_clocks_have_offsets(more: tuple[str, ...]) -> None:
    maps: dict[str, Any] = {"uid_mappings": MAP, "gid_mappings": MAP} if more else {}
    config = make_config(namespaces=(*USUAL, NEWTIME, *more), time_offsets=OFFSETS, **maps)
    done = shell(config, "cat /proc/uptime; cat /proc/self/timens_offsets; id -u")
    uptime = float(done.lines[0].split()[0])
    assert abs(uptime - time.clock_gettime(time.CLOCK_BOOTTIME) - 86400 * 2000) < 60
    assert [line.split() for line in done.lines[1:3]] == [
        ["monotonic", str(86400 * 1000), "0"],
        ["boottime", str(86400 * 2000), "500"],
    ]
    assert done.lines[3] == "0"
    if more:  # the time namespace belongs to the user namespace, as all others do
        found = inside(config)
        assert found[NEWTIME] != namespaces("self")[NEWTIME]


@requires("timens")
def test_offsets_with_a_joined_namespace(holder: int) -> None:
    config = make_config(
        namespaces=(NEWNS, NEWPID, NEWTIME, path_of(holder, NEWUTS)), time_offsets=OFFSETS
    )
    done = shell(config, "hostname; cut -d. -f1 /proc/uptime")
    assert done.lines[0] == "theirs"
    assert int(done.lines[1]) > 86400 * 2000


# --- attributes of the process -----------------------------------------------------------


@pytest.mark.parametrize("kinds", [USUAL, (*USUAL, NEWUSER), (*USUAL, "joined")])
@pytest.mark.parametrize("score", [-500, 0, 700])
def test_the_oom_score(holder: int, kinds: tuple[str, ...], score: int) -> None:
    namespaces = [path_of(holder, NEWUSER) if kind == "joined" else kind for kind in kinds]
    config = config_for(namespaces, oom_score_adj=score)
    if score < 0 and not capget()[0] & 1 << CAPABILITIES["CAP_SYS_RESOURCE"]:
        with pytest.raises(libct.StepError) as caught:
            run(config, "true")
        assert "needs CAP_SYS_RESOURCE on the host" in caught.value.hint
        assert caught.value.place == "process.oomScoreAdj"
        return
    assert shell(config, "cat /proc/self/oom_score_adj").output == f"{score}\n"


@pytest.mark.parametrize("kinds", [USUAL, (*USUAL, NEWUSER), (NEWNS,)])
def test_it_dies_with_its_parent(kinds: tuple[str, ...]) -> None:
    """parent_death_signal; also where a change of user has made the kernel forget it."""
    shared_rootfs()
    state_directory()
    name = unique()

    def caller() -> int:
        config = make_config(namespaces=kinds, parent_death_signal=signal.SIGKILL)
        container = libct.create(state_directory(), name, config)
        process = libct.Process(["sleep", "60"], env=[PATH], init=True, user="1000:1000")
        container.run(process)
        return process.pid

    pid = forked(caller)  # and the caller is killed
    assert wait_until(lambda: not os.path.exists(f"/proc/{pid}/exe"))
    libct.load(state_directory(), name).destroy(force=True)


def test_a_keyring_of_its_own() -> None:
    name = unique()
    for own in (True, False):
        config = make_config(no_new_keyring=not own)
        with libct.create(state_directory(), name, config) as container:
            container.run(libct.Process(["sleep", "60"], env=[PATH], init=True))
            assert (f"_ses.{name}" in Path("/proc/keys").read_text()) == own
        assert wait_until(lambda: f"_ses.{name}" not in Path("/proc/keys").read_text())


def test_a_session_of_its_own() -> None:
    with running(make_config()) as container:
        pid = container.state()["pid"]
        assert os.getsid(pid) == pid


# --- an ordinary user ----------------------------------------------------------------------

ROOTLESS = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import libct
from libct.config import *
from libct.config.mount_flags import MS_BIND
given = json.loads(sys.argv[2])
kinds = given.pop("namespaces", ["NEWNS", "NEWPID", "NEWUTS", "NEWIPC", "NEWNET", "NEWUSER"])
def maps(rows):
    return [IDMap(*row) for row in rows]
own = [[0, os.getuid(), 1]], [[0, os.getgid(), 1]]
uids, gids = given.pop("maps", own)
process = {"user": given.pop("user", "")}
if "pids" in given:
    given["cgroups"] = Cgroup(resources=Resources(pids_limit=given.pop("pids")))
config = Config(
    rootfs=given.pop("rootfs"),
    namespaces=[Namespace(*([k] if isinstance(k, str) else k)) for k in kinds],
    uid_mappings=maps(uids), gid_mappings=maps(gids), rootless_euid=True,
    mounts=[Mount("/proc", "proc", "proc"), Mount("/dev", "tmpfs", "tmpfs")]
    + [Mount("/mnt", source, "bind", MS_BIND) for source in given.pop("binds", [])],
    time_offsets={k: TimeOffset(*v) for k, v in given.pop("time_offsets", {}).items()},
    **given,
)
try:
    name = "one-" + os.environ["LIBCT_TEST_MARK"]
    with libct.create(os.environ["XDG_RUNTIME_DIR"] + "/libct", name, config) as container:
        process = libct.Process(sys.argv[3:], env=["PATH=/bin"], init=True, **process)
        container.run(process)
        sys.exit(process.wait().status)
except libct.Error as error:
    print(error)
    sys.exit(99)
"""


def rootless(
    script: str, *, env: dict[str, str] | None = None, **given: Any
) -> tuple[int, list[str]]:
    rootfs = shared_rootfs()
    values = json.dumps({"rootfs": str(rootfs), **given})
    args = (user_python(), "-c", ROOTLESS, user_checkout(), values, "sh", "-c", script)
    done = as_user(*args, env=env)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


@requires("user")
def test_an_ordinary_user_maps_his_own_id() -> None:
    account = user_account()
    script = "id -u; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups"
    status, lines = rootless(script)
    assert (status, lines[0]) == (0, "0")
    assert [line.split() for line in lines[1:3]] == [
        ["0", str(account.pw_uid), "1"],
        ["0", str(account.pw_gid), "1"],
    ]
    assert lines[3] == "deny"


@requires("user", "timens")
def test_an_ordinary_user_sets_clocks() -> None:
    kinds = ["NEWNS", "NEWPID", "NEWUSER", "NEWTIME"]
    status, lines = rootless(
        "cut -d. -f1 /proc/uptime", namespaces=kinds, time_offsets={"boottime": [10**8, 0]}
    )
    assert status == 0
    assert int(lines[0]) > 10**8


@requires("user")
@pytest.mark.parametrize("score", [500, -500])
def test_an_ordinary_user_raises_his_oom_score(score: int) -> None:
    status, lines = rootless("cat /proc/self/oom_score_adj", oom_score_adj=score)
    if score > 0:
        assert (status, lines) == (0, ["500"])
    else:
        assert status == 99
        assert "a score lower than the one inherited needs CAP_SYS_RESOURCE" in lines[0]


def subordinate_ids() -> tuple[int, int]:
    """The first, and how many there are, of the ordinary user's."""
    account = user_account()
    for line in Path("/etc/subuid").read_text().splitlines():
        name, first, count = line.split(":")
        if name in (account.pw_name, str(account.pw_uid)):
            return int(first), int(count)
    return 0, 0


@requires("uidmap")
def test_an_ordinary_user_mounts_what_only_he_may_enter(tmp_path: Path) -> None:
    """Though nobody in the container is he: the source is opened before."""
    account, (start, _) = user_account(), subordinate_ids()
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        path.chmod(path.stat().st_mode | 0o055)
    source = tmp_path / "his/inner"
    source.mkdir(parents=True)
    (source / "file").write_text("seen\n")
    (tmp_path / "his").chmod(0o700)
    os.chown(tmp_path / "his", account.pw_uid, account.pw_gid)
    maps = [[[0, start, 10]], [[0, start, 10]]]
    status, lines = rootless("cat /mnt/file", maps=maps, binds=[str(source)])
    assert (status, lines) == (0, ["seen"])


@requires("uidmap")
def test_an_ordinary_user_maps_more_by_newuidmap() -> None:
    account, (start, size) = user_account(), subordinate_ids()
    uids = [[0, account.pw_uid, 1], [1, start, min(size, 65535)]]
    gids = [[0, account.pw_gid, 1], [1, start, min(size, 65535)]]
    script = "id; cat /proc/self/setgroups; chown 5:5 /tmp 2>&1; cat /proc/self/uid_map"
    status, lines = rootless(script, maps=[uids, gids], user="1000:1000")
    assert lines[0].startswith("uid=1000(user) gid=1000(user)")
    assert lines[1] == "allow"
    assert [line.split() for line in lines[-2:]] == [[str(part) for part in row] for row in uids]

    uids[1][1:] = [5, 10]  # somebody else's
    status, lines = rootless("true", maps=[uids, gids])
    assert status == 99
    assert "cannot map ids by /" in lines[0]
    assert "see subuid(5)" in lines[0]


@requires("user")
def test_an_ordinary_user_without_newuidmap(tmp_path: Path) -> None:
    account = user_account()
    uids = [[0, account.pw_uid, 1], [1, 100000, 10]]
    status, lines = rootless("true", maps=[uids, uids], env={"PATH": str(tmp_path)})
    assert status == 99
    assert "cannot map ids by newuidmap: newuidmap is not installed" in lines[0]
    assert "install the package uidmap" in lines[0]
    assert "from linux.uidMappings" in lines[0]


@requires("user")
def test_an_ordinary_user_joins_his_own_namespaces(user_path: Path) -> None:
    """And nobody in there can look at what the entering process has open."""
    code = ROOTLESS.replace(
        "        sys.exit(process.wait().status)\n",
        """\
        pid = process.pid
        kinds = [Namespace("NEWNS"), Namespace("NEWUTS")]
        for kind, name in ("NEWUSER", "user"), ("NEWPID", "pid"), ("NEWNET", "net"):
            kinds.append(Namespace(kind, f"/proc/{pid}/ns/{name}"))
        joined = config.copy(namespaces=kinds, uid_mappings=[], gid_mappings=[])
        with libct.create(os.environ["XDG_RUNTIME_DIR"] + "/libct", "two", joined) as two:
            other = libct.Process(["sh", "-c", "id -u; cat /proc/1/comm"],
                                  env=["PATH=/bin"], init=True)
            two.trace = True  # so that the interpreter waits itself, and hides
            two.start(other)
            print(os.stat(f"/proc/{other.pid}/fd").st_uid, flush=True)  # root's: not dumpable
            two.exec()
            sys.exit(other.wait().status)
""",
    )
    script = user_path / "script.py"
    script.write_text(code)
    give_to_user(user_path)
    values = json.dumps({"rootfs": str(shared_rootfs())})
    done = as_user(user_python(), script, user_checkout(), values, "sleep", "60")
    assert done.stdout.splitlines() == ["0", "0", "sleep"], done.stdout + done.stderr
    assert done.returncode == 0


def children_of_the_server() -> str:
    assert servers._servers
    info = Path(f"/proc/self/fdinfo/{servers._servers[0].pidfd}").read_text()
    pid = info.partition("Pid:")[2].split()[0]
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def test_who_lends_sources_has_ended_by_then() -> None:
    mounts = [*make_config().mounts, Mount("/mnt", str(shared_rootfs().parent), "bind", MS_BIND)]
    with running(make_config(namespaces=(*USUAL, NEWUSER), mounts=mounts)) as container:
        assert container.plan is not None
        assert "lend_sources" in [step.op for step in container.plan]
        assert children_of_the_server() == ""


def test_who_lends_late_is_told_by_its_cloner_first(tmp_path: Path) -> None:
    """The first process may be quicker than who has cloned both."""
    (tmp_path / "file").write_text("lent\n")

    class Slow(Lender):
        def lend_to(self, pid: int, pidfd: int) -> None:
            time.sleep(0.3)
            super().lend_to(pid, pidfd)

    def body() -> str:
        context = Context()
        lend_sources(context, (("source 0", str(tmp_path), False, True, ()),))
        lender = context.values["lender"]
        slow = Slow(lender._pid, lender._channel, lender._late)
        pid = os.fork()
        if pid == 0:
            fd = slow.take("source 0")
            os._exit(0 if fd >= 0 and os.stat("file", dir_fd=fd).st_size == 5 else 1)
        pidfd = pidfd_open(pid)
        slow.lend_to(pid, pidfd)
        assert os.waitpid(pid, 0)[1] == 0
        slow.dismiss()
        return "done"

    assert in_namespaces(CLONE_NEWNS, body) == "done"


def test_who_lends_late_has_ended_when_the_container_runs() -> None:
    """Also where nothing is left to be asked for, as the start has failed before."""
    rootfs = str(shared_rootfs())
    mounts = [*make_config().mounts, Mount("/mnt", rootfs, "bind", MS_BIND)]
    with running(make_config(namespaces=(*USUAL, NEWUSER), mounts=mounts)):
        assert wait_until(lambda: children_of_the_server() == "")
    mounts.insert(1, Mount("/no/such", "x", "no-such-type"))
    with pytest.raises(libct.StepError):
        run(make_config(namespaces=(*USUAL, NEWUSER), mounts=mounts), "true")
    assert wait_until(lambda: children_of_the_server() == "")


# --- hints ---------------------------------------------------------------------------------


def test_user_namespaces_that_are_used_up() -> None:
    """max_user_namespaces is 0, of the user namespace that the caller is in."""
    shared_rootfs()
    state_directory()

    def body() -> str:
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
        servers.stop_server()
        # With a source that somebody else would lend, and does not wait for ever.
        mounts = [*make_config().mounts, Mount("/mnt", str(shared_rootfs()), "bind", MS_BIND)]
        with pytest.raises(libct.StepError) as caught:
            run(make_config(namespaces=(*USUAL, NEWUSER), mounts=mounts), "true")
        assert caught.value.errno == 28
        assert children_of_the_server() == ""
        return caught.value.hint

    hint = in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, body, timeout=20)
    assert hint == "/proc/sys/user/max_user_namespaces is 0: write a larger number to it"


@requires("user")
def test_proc_in_a_user_namespace_without_a_pid_namespace() -> None:
    status, lines = rootless("true", namespaces=["NEWNS", "NEWUSER"])
    assert status == 99
    assert "Operation not permitted (proc in a user namespace needs a new pid" in lines[0]


@requires("user", "cgroup1")
def test_an_ordinary_user_without_rights_to_control_groups() -> None:
    status, lines = rootless("true", pids=5)
    assert status == 99
    assert "Permission denied" in lines[0]
    assert "delegate" in lines[0]
    assert "from linux.cgroupsPath" in lines[0]


@requires("user")
def test_an_ordinary_user_without_a_user_namespace() -> None:
    status, lines = rootless("true", namespaces=["NEWNS", "NEWPID"], maps=[[], []])
    assert status == 99
    assert "user namespace" in lines[0]


def test_who_could_not_come_back_does_not_leave() -> None:
    """Root of a user namespace has no right to a network namespace of the first."""

    def body() -> None:
        before = namespaces("self")
        with pytest.raises(PermissionError):
            ready.Ready().take()
        assert namespaces("self") == before

    in_namespaces(CLONE_NEWUSER, body, uid_map="0 0 1", gid_map="0 0 1", timeout=20)


def test_a_user_namespace_that_has_all_ids_as_they_are_is_one() -> None:
    """Its maps look like those of the first, and root has no right to the host's namespaces."""

    def body() -> None:
        assert Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
        assert shell(make_config(), "id -u").output == "0\n"
        assert detect().userns

    shared_rootfs()
    assert not detect().userns
    in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, body)


def test_who_cannot_come_back_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in a wrong namespace would put the containers to come there."""

    def give_up_the_right(*_: object) -> NoReturn:
        have = capget()[1] & ~(1 << CAPABILITIES["CAP_SYS_ADMIN"])
        capset(have, have, 0)
        raise OSError(errno.EAGAIN, "no more")

    monkeypatch.setattr(ready, "Netlink", give_up_the_right)
    pid = os.fork()
    if pid == 0:
        try:
            ready.Ready().take()
        finally:
            os._exit(0)
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == os.EX_OSERR


def test_a_root_directory_is_that_of_the_process_and_of_no_later_one() -> None:
    """Somebody else's by the number of one that has ended."""
    with subprocess.Popen(["sleep", "60"]) as ended:
        target = pidfds.open_process(ended.pid)
        ended.kill()
    context = Context({"target": target})
    with pytest.raises(ProcessLookupError):
        open_root_of(context, os.getpid())
    for name in ("root", "target"):
        context.release(name)

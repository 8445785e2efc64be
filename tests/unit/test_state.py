"""The directory of a container: its record, its lock, and what is left of it."""

from __future__ import annotations

import json
import os
import posix
import signal
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct.cgroups import marks
from libct.cgroups.ledger import Ledger, parse
from libct.config import Cgroup, Config, Mount, Namespace, ProcessDefaults, Resources, Rlimit
from libct.errors import (
    ContainerDamaged,
    ContainerExists,
    ContainerNotFound,
    ContainerNotRunning,
    Error,
    InvalidID,
)
from libct.life import proc
from libct.life.directory import Directory, check_id, default_root
from libct.life.holdings import Holdings
from libct.life.proc import boot_id, name_of, of_this_boot, start_time
from libct.life.record import Record
from libct.syscalls import userns

from ..support import CLONE_NEWNS, CLONE_NEWUSER, forked, in_namespaces, mount, requires

if TYPE_CHECKING:
    from collections.abc import Callable


def make(tmp_path: Path, name: str = "box") -> tuple[Directory, Record]:
    directory = Directory(str(tmp_path), name)
    directory.make()
    config = Config(
        rootfs="/images/b\u00fcchse",
        namespaces=[Namespace("NEWNS")],
        mounts=[Mount("/proc", "proc", "proc")],
        cgroups=Cgroup(resources=Resources(pids_limit=7)),
        labels=["a=b"],
    )
    record = Record(name, config, "/bundle")
    write(directory, record)
    return directory, record


def write(directory: Directory, record: Record) -> None:
    with directory.lock() as held:
        held.write(record)


# --- ids ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "A-b_c.d+9", "..a", "-", "x" * 255])
def test_ids(name: str) -> None:
    check_id(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "is empty"),
        (".", "invalid container ID format: '.'"),
        ("..", "invalid"),
        ("a/b", "invalid container ID format: 'a/b'"),
        ("a b", "invalid"),
        ("\u00e4", "invalid"),
        ("a\0", "invalid"),
        ("a\n", "invalid"),
        ("x" * 256, "longer than 255"),
    ],
)
def test_invalid_ids(name: str, text: str) -> None:
    with pytest.raises(InvalidID, match=text):
        Directory("/nowhere", name)


# --- records -----------------------------------------------------------------------------


def test_a_record_comes_back(tmp_path: Path) -> None:
    directory, record = make(tmp_path)
    record.status, record.pid, record.start, record.exit_status = "created", 12, 345, 6
    record.boot = boot_id()
    record.cgroup_paths = {"pids": "/sys/fs/cgroup/pids/box"}
    write(directory, record)
    found = directory.read()
    names = ("id", "bundle", "status", "pid", "start", "boot", "created", "owner", "exit_status")
    for name in names:
        assert getattr(found, name) == getattr(record, name)
    assert found.cgroup_paths == record.cgroup_paths
    assert found.config == record.config
    assert found.owner == os.geteuid()
    document = json.loads(Path(directory.path, "state.json").read_text())
    assert document["config"]["rootfs"] == "/images/b\u00fcchse"


def test_a_record_that_is_unchanged_is_not_read_again(tmp_path: Path) -> None:
    directory, record = make(tmp_path)
    assert directory.read(record) is record
    other = directory.read()
    assert directory.read(other) is other
    other.status = "stopped"
    write(directory, other)
    assert directory.read(record) is not record
    assert directory.read(record).status == "stopped"


def test_a_record_is_replaced_and_never_half_written(tmp_path: Path) -> None:
    directory, record = make(tmp_path)
    stop = threading.Event()
    problems: list[Exception] = []

    def read() -> None:
        while not stop.is_set():
            try:
                assert directory.read().pid % 1000 == 0
            except Exception as problem:
                problems.append(problem)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(200):
        record.pid = number * 1000
        write(directory, record)
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []
    assert os.listdir(directory.path) == ["state.json"]


def test_what_is_prepared_is_not_the_state_yet(tmp_path: Path) -> None:
    directory, record = make(tmp_path)
    record.status = "created"
    with directory.lock() as held:
        held.prepare(record)
        assert directory.read().status == "creating"
        held.publish()
    assert directory.read().status == "created"


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        directory, _ = make(tmp_path / "new" / "root")
    finally:
        os.umask(before)
    modes = {
        tmp_path / "new" / "root": 0o700,
        Path(directory.path): 0o711,
        Path(directory.path, "state.json"): 0o600,
    }
    for path, mode in modes.items():
        assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '"text"', "{", "\0", '{"id": "box", "config": {}}', '{"id": 7}'],
)
def test_a_damaged_record(tmp_path: Path, text: str) -> None:
    directory, _ = make(tmp_path)
    Path(directory.path, "state.json").write_text(text)
    with pytest.raises(ContainerDamaged, match=r"state\.json is damaged: .* by force"):
        directory.read()


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("pid", ["1", "9" * 100_000, -1, 1.0, True, None, 2**31, 10**400, [1]]),
        ("start", ["1", -1, 1.5, False, 2**64]),
        ("boot", [None, 7, ["a"]]),
        ("last_step", ["1", -1, None, 2**31]),
        ("owner", ["root", -1, None, 2**32 - 1, True]),
        ("exit_status", ["0", -1, 256, True, [0]]),
        ("status", ["", "gone", 1, None, [], {}]),
        ("own_pids", [0, 1, None, "yes"]),
        ("hooks", ["poststop", None, {}, [1], [["poststop"]]]),
        ("annotations", [None, [], "a=b", {"a": 1}]),
        ("bundle", [None, 1, ["/"], "a\0b"]),
        ("rootfs", [None, 1, {}]),
        ("created", [None, 0]),
        ("version", [None, 1.0]),
        ("id", [None, 7, "box2", "../box"]),
        ("config", [None, [], "config", 7]),
        (
            "cgroup_paths",
            [
                ["/sys/fs/cgroup/a"],
                "/sys/fs/cgroup/a",
                {"": "sys/fs/cgroup/a"},
                {"": "/sys/fs/cgroup/../../tmp"},
                {"": "/sys/fs/cgroup/a\0"},
                {"": 7},
                {"": None},
            ],
        ),
    ],
)
def test_a_field_that_no_record_has_is_damage(
    tmp_path: Path, field: str, values: list[Any]
) -> None:
    directory, record = make(tmp_path)
    document = json.loads(record.dump())
    for value in values:
        Path(directory.path, "state.json").write_text(json.dumps({**document, field: value}))
        with pytest.raises(
            ContainerDamaged, match=r"state\.json is damaged: .* by force"
        ) as caught:
            directory.read()
        assert len(str(caught.value)) < 600 + len(str(tmp_path))
    Path(directory.path, "state.json").write_text(json.dumps(document))
    assert directory.read().id == "box"


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b'{"id": "\xff"}',
        b"[" * 1_000_000,
        b'{"config":' * 100_000,
        b'{"pid": ' + b"9" * 10_000 + b"}",
        b" " * (16 << 20) + b"{}",
    ],
)
def test_a_text_that_no_record_has_is_damage(tmp_path: Path, text: bytes) -> None:
    directory, _ = make(tmp_path)
    Path(directory.path, "state.json").write_bytes(text)
    with pytest.raises(ContainerDamaged, match=r"state\.json is damaged: .* by force") as caught:
        directory.read()
    assert "\n" not in str(caught.value)


def test_a_record_of_usual_values_is_read(tmp_path: Path) -> None:
    """None of the checks keeps out what a container may have."""
    directory, record = make(tmp_path)
    record.pid, record.start, record.last_step, record.exit_status = 2**22, 2**63, 61, 255
    record.cgroup_paths = {"": "/sys/fs/cgroup/a b/..c"}
    record.annotations = {"a": "\0\ud800", "": ""}
    record.hooks, record.owner, record.status = ["poststop"], 4_000_000_000, "stopped"
    write(directory, record)
    found = directory.read()
    for name in ("pid", "start", "cgroup_paths", "annotations", "hooks", "owner", "exit_status"):
        assert getattr(found, name) == getattr(record, name)
    assert found.config == record.config


def _a_fifo(path: Path) -> None:
    os.mkfifo(path)


def _a_link(path: Path) -> None:
    other = path.with_name("elsewhere")
    other.write_text("made - /\n")
    path.symlink_to(other)


def _a_directory(path: Path) -> None:
    path.mkdir()


def _a_huge_one(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("made", [_a_fifo, _a_link, _a_directory, _a_huge_one])
@pytest.mark.parametrize("name", ["state.json", ".state.json", "groups", "hook"])
def test_what_is_no_file_of_ours_is_damage(
    tmp_path: Path, name: str, made: Callable[[Path], None]
) -> None:
    def body() -> str:
        signal.alarm(20)  # what waits for the writer of a FIFO is killed
        directory, record = make(tmp_path)
        Path(directory.path, name).unlink(missing_ok=True)
        made(Path(directory.path, name))
        if name == "state.json":
            for known in (None, record):
                with pytest.raises(ContainerDamaged, match=r"regular file|larger than 16 MiB"):
                    directory.read(known)
        elif name == ".state.json":
            assert directory.read_prepared() is None
        elif name == "hook":
            assert directory.hook() is None
        else:
            with pytest.raises(ContainerDamaged, match=r"regular file|larger than 16 MiB"):
                Ledger(directory)
            assert Ledger(directory, by_force=True).own() == []
        return "read"

    assert forked(body) == "read"


@pytest.mark.parametrize("made", [_a_fifo, _a_link, _a_directory])
@pytest.mark.parametrize("name", [".state.json", "groups", "hook"])
def test_nothing_is_written_where_no_file_of_ours_is(
    tmp_path: Path, name: str, made: Callable[[Path], None]
) -> None:
    def body() -> str:
        signal.alarm(20)
        directory, record = make(tmp_path)
        made(Path(directory.path, name))
        with directory.lock() as held:
            write: dict[str, Callable[[], None]] = {
                "hook": lambda: held.note_hook(0, 0),
                "groups": lambda: held.append(name, "made - /sys/fs/cgroup/a\n"),
                ".state.json": lambda: held.write(record),
            }
            with pytest.raises(Error, match="cannot write"):
                write[name]()
        other = Path(directory.path, "elsewhere")
        return other.read_text() if other.exists() else "made - /\n"

    assert forked(body) == "made - /\n"


def test_lines_that_are_none_are_left_out_of_a_ledger() -> None:
    mark = "0123456789abcdef"
    good = f"made {mark} /sys/fs/cgroup/a b\n"
    found = {"/sys/fs/cgroup/a b": ("made", mark, "")}
    bad = ["", "\n", "made\n", f"made {mark} \n", f"made {mark} a\n", f"made {mark} /a/../b\n"]
    bad += [f"made {mark} /a\0b\n", f"bought {mark} /a\n", f"\ud800 {mark} /a\n", "above  /a\n"]
    for line in bad:
        assert parse(line + good) == found, line
    assert parse(good + f"made {mark} /c") == found
    assert parse(f"taken {mark} /c\nabove - /d\n{good}") == {
        "/c": ("taken", mark, ""),
        "/d": ("above", "-", ""),
        **found,
    }


NO_MARKS = ["", "-", "0", "0123456789abcde", "0123456789ABCDEF", "0123456789abcde\u0661"]
NO_MARKS += ["inode-12", "above", "0" * 17]


@pytest.mark.parametrize("mark", NO_MARKS)
@pytest.mark.parametrize("what", ["made", "taken"])
def test_what_no_mark_is_of_is_not_the_containers(what: str, mark: str) -> None:
    """A group that nobody has marked has none: it is not that of a line without one."""
    assert parse(f"{what} {mark} /sys/fs/cgroup/a\n") == {}


def test_where_a_hierarchy_is_mounted_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process of the host is in it; this looks, and ends nothing."""
    directory, _ = make(tmp_path)
    with open("/proc/self/mountinfo") as table:
        mounts = [line.split()[4] for line in table if " - cgroup" in line]
    assert mounts
    mark = "0123456789abcdef"
    monkeypatch.setattr(marks, "read", lambda group: mark.encode())  # nobody else is to mark one
    for place in mounts:
        line = f"made {mark} {place}\n"
        assert parse(line)
        Path(directory.path, "groups").write_text(line)
        assert Ledger(directory).own() == []


def test_a_ledger_is_of_control_groups_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs in any other directory's cgroup.procs is not killed, nor that removed."""
    directory, _ = make(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    mark = "0123456789abcdef"
    monkeypatch.setattr(marks, "read", lambda group: mark.encode())
    lines = [f"{kind} {mark} {other}\n" for kind in ("made", "taken", "intended")]
    lines.append(f"above - {other}\n")
    (tmp_path / "link").symlink_to("/sys/fs/cgroup")
    lines += [f"made {mark} relative\n", f"made {mark} {tmp_path}/link/../x\n"]
    for line in [*lines, "no line\n", "\0\xff\n", f"made {mark} /sys/fs/cgroup/\0\n"]:
        Path(directory.path, "groups").write_text(line)
        ledger = Ledger(directory)
        assert ledger.own() == []
        assert ledger.remove(by_force=True) == []
        assert other.is_dir(), line


def test_fields_of_wrong_types_are_damage(tmp_path: Path) -> None:
    directory, record = make(tmp_path)
    document = json.loads(record.dump())
    document["config"]["mounts"] = 7
    Path(directory.path, "state.json").write_text(json.dumps(document))
    found = directory.read()
    assert found.rootfs == record.rootfs  # of which who only looks at the container knows nothing
    with pytest.raises(ContainerDamaged):
        _ = found.config


def test_a_configuration_of_wrong_types_is_damage(tmp_path: Path) -> None:
    directory, record = make(tmp_path)
    document = json.loads(record.dump())
    for field, value in (("rootfs", 7), ("cgroups", {"resources": {"pids_limit": "x"}})):
        damage = {**document, "config": {**document["config"], field: value}}
        Path(directory.path, "state.json").write_text(json.dumps(damage))
        with pytest.raises(ContainerDamaged, match=f"config.{field}"):
            _ = directory.read().config


def test_defaults_of_wrong_types_are_damage(tmp_path: Path) -> None:
    directory, record = make(tmp_path)
    record.process = ProcessDefaults(user="7", rlimits=[Rlimit(1, 2, 3)]).to_dict()
    write(directory, record)
    assert directory.read().defaults == ProcessDefaults("7", rlimits=[Rlimit(1, 2, 3)])
    document = json.loads(record.dump())
    bad: list[Any] = [{"user": 7}, {"env": "A=1"}, {"rlimits": [7]}, {"x": 1}]
    for value in bad:
        Path(directory.path, "state.json").write_text(json.dumps({**document, "process": value}))
        with pytest.raises(ContainerDamaged):
            _ = directory.read().defaults
    Path(directory.path, "state.json").write_text(json.dumps({**document, "process": 7}))
    with pytest.raises(ContainerDamaged, match="process cannot be 7"):
        directory.read()


def test_no_record(tmp_path: Path) -> None:
    with pytest.raises(ContainerNotFound, match=f"container does not exist: 'a' in {tmp_path}"):
        Directory(str(tmp_path), "a").read()
    (tmp_path / "file").touch()
    with pytest.raises(ContainerNotFound):
        Directory(str(tmp_path / "file"), "a").read()


# --- directories ----------------------------------------------------------------------------


def test_an_id_is_used_once(tmp_path: Path) -> None:
    directory, _ = make(tmp_path)
    with pytest.raises(ContainerExists, match="container with given ID already exists: 'box'"):
        directory.make()
    directory.remove()
    directory.make()
    directory.remove()
    directory.remove()


def test_the_record_is_removed_last_and_then_the_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, _ = make(tmp_path)
    directory.add_mark("a mark")
    with directory.lock() as held:
        os.close(held.make_fifo())
    for name in (".state.json", "hook"):
        Path(directory.path, name).touch()
    removed: list[str] = []
    unlink = os.unlink

    def note_and_unlink(name: str, *, dir_fd: int | None = None) -> None:
        removed.append(name)
        if dir_fd is None:
            assert os.readlink(name) == "a mark"
            assert not Path(directory.path).exists()
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(posix, "unlink", note_and_unlink)
    directory.remove()
    *files, mark = removed
    assert sorted(files) == [".state.json", "exec.fifo", "hook", "state.json"]
    assert files[-1] == "state.json"
    assert mark.startswith(f"{directory.root}/::")  # the id's own name may be the next one's by now
    assert os.listdir(directory.root) == []


def test_a_link_to_another_container_is_damage(tmp_path: Path) -> None:
    directory, _ = make(tmp_path)
    link = Directory(str(tmp_path), "link")
    os.symlink(directory.path, link.path)
    with pytest.raises(ContainerDamaged, match="it is of container 'box'"):
        link.read()
    with pytest.raises(Error, match="Not a directory"):
        link.remove()
    assert directory.read().id == "box"


def test_only_the_directory_that_was_emptied_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else may have removed it meanwhile, and a third one made it again."""
    directory, _ = make(tmp_path)
    unlink = os.unlink

    def replace_and_unlink(name: str, *, dir_fd: int) -> None:
        os.rename(directory.path, tmp_path / "former")
        directory.make()
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(posix, "unlink", replace_and_unlink)
    directory.remove()
    assert os.listdir(tmp_path / "former") == []
    assert os.path.isdir(directory.path)


def test_a_fifo_of_a_start_that_was_killed_is_replaced(tmp_path: Path) -> None:
    directory, _ = make(tmp_path)
    with directory.lock() as held:
        for _ in range(2):
            fd = held.make_fifo()
            assert stat.S_ISFIFO(os.fstat(fd).st_mode)
            assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
            os.close(fd)
        held.remove_fifo()
        held.remove_fifo()
    assert os.listdir(directory.path) == ["state.json"]


@pytest.mark.parametrize("what", ["make", "make_fifo", "write"])
def test_a_place_that_cannot_be_written(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Directory(str(tmp_path), "box")
    record = Record("box", Config(rootfs="/"))
    directory.make()
    held = directory.lock()

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    for name in ("mkdir", "mkfifo", "open"):
        monkeypatch.setattr(posix, name, refuse)
    calls: dict[str, Callable[[], object]] = {
        "make": directory.make,
        "make_fifo": held.make_fifo,
        "write": lambda: held.write(record),
    }
    with pytest.raises(Error, match=r"^cannot \w+ .*'.*: No space.*full: free"):
        calls[what]()
    held.release()


# --- the lock ---------------------------------------------------------------------------------


def test_one_holds_the_lock(tmp_path: Path) -> None:
    directory, _ = make(tmp_path)
    assert not directory.locked()
    with directory.lock():
        assert directory.locked()
        assert directory.locked()  # who asks does not hold it
        waiting = threading.Thread(target=lambda: directory.lock().release())
        waiting.start()
        time.sleep(0.02)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()
    assert not directory.locked()


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    directory, _ = make(tmp_path)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _held = directory.lock()  # to the end
        os.write(writer, b"x")
        time.sleep(60)
        os._exit(1)
    assert os.read(reader, 1) == b"x"
    assert directory.locked()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not directory.locked()
    os.close(reader)
    os.close(writer)


def test_a_forked_copy_does_not_keep_a_lock(tmp_path: Path) -> None:
    directory, _ = make(tmp_path)
    reader, writer = os.pipe()
    with directory.lock():
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    assert not directory.locked()
    os.close(writer)
    os.close(reader)
    os.waitpid(pid, 0)


def test_a_lock_is_of_the_container_that_is_there(tmp_path: Path) -> None:
    """Who has waited for one that was removed meanwhile gets that of the next, or none."""
    for again in (False, True):
        directory, _ = make(tmp_path)
        results: list[tuple[str, bool]] = []

        def wait(
            directory: Directory = directory, results: list[tuple[str, bool]] = results
        ) -> None:
            try:
                with directory.lock():
                    # By its path it is the next one's in any case: so is the lock?
                    results.append((directory.read().bundle, directory.locked()))
            except ContainerNotFound:
                results.append(("gone", False))

        with directory.lock():
            thread = threading.Thread(target=wait)
            thread.start()
            time.sleep(0.02)
            directory.remove()
            if again:
                directory.make()
                write(directory, Record("box", Config(rootfs="/"), "the next"))
        thread.join(5)
        assert results == [("the next", True) if again else ("gone", False)]
        directory.remove()
    with pytest.raises(ContainerNotFound):
        directory.lock()
    with pytest.raises(ContainerNotFound):
        directory.locked()


def test_who_holds_a_lock_writes_to_the_directory_of_the_lock(tmp_path: Path) -> None:
    """And not to that of another container, which has got the name meanwhile."""
    directory, record = make(tmp_path)
    former = tmp_path / "former"
    with directory.lock() as held:
        os.rename(directory.path, former)
        directory.make()
        Path(directory.path, ".state.json").write_text("the other's next")
        Path(directory.path, "state.json").write_text("the other's")
        os.close(held.make_fifo())
        held.append("groups", "made")
        held.note_hook(0, 0)
        record.pid = 77
        held.write(record)
    assert sorted(os.listdir(former)) == ["exec.fifo", "groups", "hook", "state.json"]
    assert json.loads((former / "state.json").read_text())["pid"] == 77
    assert sorted(os.listdir(directory.path)) == [".state.json", "state.json"]
    assert Path(directory.path, ".state.json").read_text() == "the other's next"
    assert Path(directory.path, "state.json").read_text() == "the other's"


# --- processes --------------------------------------------------------------------------------


def test_start_times() -> None:
    own = start_time(os.getpid())
    assert own > 0
    assert own == start_time(os.getpid())
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.001)
    assert start_time(pid) == 0  # it has ended, though it has not been waited for
    os.waitpid(pid, 0)
    assert start_time(pid) == 0
    assert start_time(1 << 30) == 0


def test_a_process_is_known_by_its_start(tmp_path: Path) -> None:
    _, record = make(tmp_path)
    record.pid, record.start = os.getpid(), start_time(os.getpid())
    assert record.alive
    record.start -= 1  # of one that had the number before
    assert not record.alive
    record.start = 0
    assert not record.alive
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    record.pid, record.start = pid, 0  # it had ended before anybody could look
    assert not record.alive


def test_boots() -> None:
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert of_this_boot(boot_id())
    assert not of_this_boot(boot_id()[::-1])
    assert of_this_boot("")  # an earlier version did not note it


@requires("userns")
def test_a_boot_that_is_not_known_is_taken_for_this_one() -> None:
    def body() -> tuple[str, bool]:
        mount("tmpfs", "/proc/sys", "tmpfs")
        proc._boot = ""  # as in a process that has not asked before
        return boot_id(), of_this_boot("7cd9afea-a5c6-4c9a-8b0f-8c2e5d5ac2a6")

    assert in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, body) == ("", True)


def test_a_process_of_another_boot_is_not_the_first(tmp_path: Path) -> None:
    _, record = make(tmp_path)
    record.pid, record.start = os.getpid(), start_time(os.getpid())
    record.boot = boot_id()
    assert record.alive
    record.boot = boot_id()[::-1]
    assert not record.alive


def test_a_process_is_opened_only_if_it_is_the_first(tmp_path: Path) -> None:
    directory, record = make(tmp_path)
    holdings = Holdings(directory, record)
    before = os.listdir("/proc/self/fd")
    record.pid, record.start = os.getpid(), start_time(os.getpid())
    os.close(holdings.open_init())
    record.start -= 1
    with pytest.raises(ContainerNotRunning):
        holdings.open_init()
    assert os.listdir("/proc/self/fd") == before


def test_a_name_with_parentheses_hides_nothing(tmp_path: Path) -> None:
    def body() -> tuple[int, str | None]:
        Path("/proc/self/comm").write_text(") Z 1 (a")
        return start_time(os.getpid()), name_of(os.getpid())

    start, name = forked(body)
    assert start > 0
    assert name == ") Z 1 (a"
    assert name_of(1 << 30) == ""


def test_default_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posix, "geteuid", lambda: 0)
    monkeypatch.setattr(userns, "in_user_namespace", lambda: False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("USER", "root")
    assert default_root() == "/run/libct"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/0")
    assert default_root() == "/run/libct"
    # Root of a user namespace, as under rootless Podman.
    monkeypatch.setattr(userns, "in_user_namespace", lambda: True)
    monkeypatch.setattr("libct.life.directory._may_use", lambda path: True)
    assert default_root() == "/run/libct"  # unshare --map-root-user of the machine's root
    monkeypatch.setenv("USER", "somebody")
    assert default_root() == "/run/user/0/libct"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert default_root() == "/run/libct"
    monkeypatch.setattr(posix, "geteuid", lambda: 65530)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/65530")
    assert default_root() == "/run/user/65530/libct"

"""The performers of steps on control groups, on a directory that stands for the file system."""

from __future__ import annotations

import errno
import os
import posix
import time
from pathlib import Path

import pytest

from libct.bootstrap.context import Context
from libct.cgroups import choose as cgroups, controllers, entry, files, limiting, marks, steps
from libct.cgroups.ledger import parse
from libct.config import Cgroup, Resources
from libct.errors import CgroupError, StepProblem

from ..ledgers import ledger_of, with_ledger

V2_FILES = {
    "cgroup.controllers": "cpu memory pids\n",
    "cgroup.subtree_control": "",
    "cgroup.type": "domain\n",
    "cgroup.procs": "",
    "cgroup.freeze": "0\n",
}


class Tree:
    """A control group tree of ordinary files, where writes can be made to fail.

    errors: (path below the root, text) -> errno; text "" for any.
    writes: what has been written, (path below the root, text), failed ones included.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.errors: dict[tuple[str, str], int] = {}
        self.writes: list[tuple[str, str]] = []
        self._write = files.write
        monkeypatch.setattr(files, "on_cgroup_filesystem", lambda fd: True)
        monkeypatch.setattr(files, "write", self.write)

    def write(self, path: str, *values: str) -> None:
        name = os.path.relpath(path, self.root)
        for value in values:
            self.writes.append((name, value))
            code = self.errors.get((name, value)) or self.errors.get((name, ""))
            if code:
                raise OSError(code, f'write("{value}"): {os.strerror(code)}', path)
            if name.endswith("subtree_control"):
                present = Path(path).read_text().split()
                added = [word[1:] for word in value.split() if word[0] == "+"]
                gone = [word[1:] for word in value.split() if word[0] == "-"]
                value = " ".join(
                    name for name in dict.fromkeys([*present, *added]) if name not in gone
                )
                Path(path).write_text("")
            self._write(path, value)

    def group(self, name: str, **present: str) -> Path:
        directory = self.root / name
        directory.mkdir(exist_ok=True)
        for file, text in present.items():
            (directory / file.replace("_", ".", 1)).write_text(text)
        return directory

    def v2(self, *names: str) -> None:
        for name in names:
            for file, text in V2_FILES.items():
                (self.group(name) / file).write_text(text)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path, monkeypatch)


def make(tree: Tree, below: str, *, optional: int = 0, context: Context | None = None) -> None:
    steps.cgroup_mkdir(context or with_ledger(), str(tree.root), below, optional)


# --- cgroup_mkdir ---


def test_all_levels_are_made_and_remembered(tree: Tree) -> None:
    context = with_ledger()
    tree.group("a")
    make(tree, "a/b/c", context=context)
    made = [f"{tree.root}/a/b", f"{tree.root}/a/b/c"]
    assert ledger_of(context).own() == made[1:]
    assert ledger_of(context).undo() == []
    assert not os.path.exists(made[0])
    assert (tree.root / "a").is_dir()


def test_levels_that_others_use_are_not_removed(tree: Tree) -> None:
    context = with_ledger()
    make(tree, "a/b", context=context)
    tree.group("a/other")
    assert ledger_of(context).undo() == []
    assert sorted(os.listdir(tree.root / "a")) == ["other"]


def test_a_group_with_processes_is_not_taken(tree: Tree) -> None:
    tree.group("a", cgroup_procs="1\n2\n3\n4\n5\n6\n")
    with pytest.raises(StepProblem, match=r"is not empty: processes 1 2 3 4 5 \.\.\. are in"):
        make(tree, "a")


def test_nor_one_with_processes_below(tree: Tree) -> None:
    tree.group("a", cgroup_procs="")
    tree.group("a/b", cgroup_procs="7\n")
    with pytest.raises(StepProblem, match="not empty: processes 7 are"):
        make(tree, "a")


@pytest.mark.parametrize(
    ("file", "state"), [("freezer_state", "FROZEN\n"), ("cgroup_freeze", "1\n")]
)
def test_nor_one_that_is_frozen(tree: Tree, file: str, state: str) -> None:
    tree.group("a", cgroup_procs="", **{file: state})
    with pytest.raises(StepProblem, match=r"container.s cgroup unexpectedly frozen: "):
        make(tree, "a")


def test_an_empty_group_is_taken_and_not_removed(tree: Tree) -> None:
    tree.group("a", cgroup_procs="", freezer_state="THAWED\n")
    context = with_ledger()
    make(tree, "a", context=context)
    assert ledger_of(context).own() == [f"{tree.root}/a"]
    for file in (tree.root / "a").iterdir():  # which would keep it, as those of a group do not
        file.unlink()
    assert ledger_of(context).undo() == []
    assert ledger_of(context).own() == []
    assert (tree.root / "a").is_dir()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EOPNOTSUPP, errno.EACCES])
@pytest.mark.parametrize("there", [True, False])
def test_a_group_that_cannot_be_marked_is_not_used(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, code: int, *, there: bool
) -> None:
    def refuse(group: int, name: str, mark: bytes, flags: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(marks, "fsetxattr", refuse)
    if there:
        tree.group("a", cgroup_procs="")
    context = with_ledger()
    with pytest.raises(OSError, match="setxattr") as caught:
        make(tree, "a", context=context)
    assert caught.value.errno == code
    assert ledger_of(context).own() == []
    assert (tree.root / "a").exists() == there
    ledger_of(context).release()
    if code == errno.EACCES:
        make(tree, "a", optional=1)
        assert (tree.root / "a").exists() == there


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_without_permission_there_is_no_group_or_advice(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(path: str, mode: int) -> None:
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(posix, "mkdir", refuse)
    make(tree, "a", optional=1)
    with pytest.raises(OSError) as caught:
        make(tree, "a")
    assert caught.value.errno == code
    assert caught.value.filename == f"{tree.root}/a"
    assert str(caught.value.strerror).startswith(f'mkdir("{tree.root}/a"): ')
    hint = vars(caught.value)["hint"]
    assert ("read-only" in hint) if code == errno.EROFS else ("Delegate=yes" in hint)


def test_levels_are_removed_when_a_lower_one_cannot_be_made(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def full(path: str, mode: int) -> None:
        if path.endswith("/c"):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)  # cgroup.max.depth
        mkdir(path, mode)

    monkeypatch.setattr(posix, "mkdir", full)
    context = with_ledger()
    with pytest.raises(OSError, match="temporarily unavailable"):
        make(tree, "a/b/c", context=context)
    assert ledger_of(context).undo() == []
    assert os.listdir(tree.root) == []


def test_levels_are_made_again_that_go_meanwhile(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the end of another container that has made them, too."""
    mkdir = os.mkdir
    gone: list[str] = []

    def mkdir_without(path: str, mode: int) -> None:
        if path.endswith("/a/b") and not gone:
            os.rmdir(tree.root / "a")
            gone.append(path)
        mkdir(path, mode)

    monkeypatch.setattr(posix, "mkdir", mkdir_without)
    context = with_ledger()
    make(tree, "a/b", context=context)
    assert (tree.root / "a/b").is_dir()
    assert ledger_of(context).undo() == []
    assert os.listdir(tree.root) == []


def test_a_line_of_the_ledger_that_was_not_written_to_its_end() -> None:
    one, two = "1" * 16, "2" * 16
    text = f"above - /a\nmade {one} /a/b\nmade {two} /a/c\nleft - /a/c\nabove - /x\n"
    text += f"made {two} /x/y"
    assert parse(text) == {
        "/a": ("above", "-", ""),
        "/a/b": ("made", one, ""),
        "/x": ("above", "-", ""),
    }


# --- cgroup_enable_controllers ---


def enable(tree: Tree, below: str, *needed: str) -> None:
    controllers.cgroup_enable_controllers(Context(), str(tree.root), below, needed)


def test_all_controllers_are_enabled_on_the_way(tree: Tree) -> None:
    tree.v2("", "a", "a/b")
    enable(tree, "a/b")
    everything = "+cpu +memory +pids"
    assert tree.writes == [
        ("cgroup.subtree_control", everything),
        ("a/cgroup.subtree_control", everything),
    ]


def test_one_that_cannot_be_enabled_does_not_keep_the_others_back(tree: Tree) -> None:
    tree.v2("", "a")
    tree.errors["cgroup.subtree_control", "+cpu +memory +pids"] = errno.EINVAL
    tree.errors["cgroup.subtree_control", "+cpu"] = errno.EINVAL
    enable(tree, "a", "memory")
    assert [text for _, text in tree.writes] == ["+cpu +memory +pids", "+cpu", "+memory", "+pids"]


def test_what_is_enabled_already_needs_no_permission(tree: Tree) -> None:
    tree.v2("", "a", "a/b")
    tree.errors["cgroup.subtree_control", ""] = errno.EACCES
    (tree.root / "cgroup.subtree_control").write_text("memory pids\n")
    enable(tree, "a/b", "memory")
    assert tree.writes[-1] == ("a/cgroup.subtree_control", "+memory +pids")


@pytest.mark.parametrize(
    ("code", "hint"),
    [(errno.EACCES, "Delegate=yes"), (errno.EBUSY, "there are processes in that group itself")],
)
def test_a_controller_that_is_needed_must_be_enabled(tree: Tree, code: int, hint: str) -> None:
    tree.v2("", "a", "a/b")
    tree.errors["a/cgroup.subtree_control", ""] = code
    enable(tree, "a/b")
    with pytest.raises(OSError, match="write") as caught:
        enable(tree, "a/b", "memory")
    assert caught.value.errno == code
    assert caught.value.filename == f"{tree.root}/a/cgroup.subtree_control"
    assert hint in vars(caught.value)["hint"]


def test_a_controller_that_is_not_offered(tree: Tree) -> None:
    tree.v2("", "a")
    with pytest.raises(StepProblem, match="io cannot be enabled"):
        enable(tree, "a", "io")


def test_groups_among_threads_become_ones_of_threads_the_upper_first(tree: Tree) -> None:
    tree.v2("", "a", "a/b", "a/b/c")
    for name in ("a/b", "a/b/c"):
        (tree.root / name / "cgroup.type").write_text("domain invalid\n")
    enable(tree, "a/b/c", "cpu")
    types = [name for name, text in tree.writes if text == "threaded"]
    assert types == ["a/b/cgroup.type", "a/b/c/cgroup.type"]
    # Before it is to distribute controllers itself.
    written = [name for name, _ in tree.writes]
    assert written.index("a/b/cgroup.type") < written.index("a/b/cgroup.subtree_control")


@pytest.mark.parametrize("kind", ["domain invalid", "threaded"])
def test_what_cannot_limit_threads_is_refused_among_them(tree: Tree, kind: str) -> None:
    tree.v2("", "a", "a/b")
    (tree.root / "a/b/cgroup.type").write_text(f"{kind}\n")
    with pytest.raises(StepProblem, match=f"memory cannot be limited in '{tree.root}/a/b'"):
        enable(tree, "a/b", "cpu", "memory")
    assert (tree.root / "a/b/cgroup.type").read_text() == f"{kind}\n"
    for name in ("", "a"):
        assert (tree.root / name / "cgroup.subtree_control").read_text() == ""


def test_what_was_enabled_before_stays_so_after_a_refusal(tree: Tree) -> None:
    tree.v2("", "a", "a/b")
    (tree.root / "cgroup.subtree_control").write_text("cpu pids\n")
    (tree.root / "a/b/cgroup.type").write_text("threaded\n")
    with pytest.raises(StepProblem):
        enable(tree, "a/b", "memory")
    assert (tree.root / "cgroup.subtree_control").read_text() == "cpu pids"


def test_beside_processes_only_what_is_needed_is_enabled(tree: Tree) -> None:
    """It makes the group that they are in the root of a tree of threads."""
    tree.v2("", "a", "a/b")
    for text in ("+cpu +memory +pids", "+memory"):
        tree.errors["a/cgroup.subtree_control", text] = errno.EBUSY
    enable(tree, "a/b")
    assert (tree.root / "a/cgroup.subtree_control").read_text() == ""
    enable(tree, "a/b", "pids")
    assert (tree.root / "a/cgroup.subtree_control").read_text() == "pids"


def test_a_group_that_was_refused_needs_no_controllers(tree: Tree) -> None:
    tree.v2("")
    enable(tree, "a")
    assert tree.writes == []


# --- limits ---


def test_what_is_refused_at_first_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As memory.limit_in_bytes is when it is above the old limit of memory and swap."""
    attempts: list[str] = []

    def write(path: str, value: str) -> None:
        attempts.append(f"{os.path.basename(path)}={value}")
        if attempts == ["m.limit=200"]:
            raise OSError(errno.EINVAL, "write", path)

    monkeypatch.setattr(files, "write", write)
    settings = (("m.limit", "200", 0), ("m.both", "300", 0))
    limiting.cgroup_write_group(Context(), "/a", settings)
    assert attempts == ["m.limit=200", "m.both=300", "m.limit=200"]


def test_what_is_always_refused_is_an_error(tree: Tree) -> None:
    directory = tree.group("a", m_limit="", m_both="")
    tree.errors["a/m.limit", ""] = errno.EINVAL
    settings = (("m.limit", "200", 0), ("m.both", "300", 0))
    with pytest.raises(OSError, match=r'write\("200"\)') as caught:
        limiting.cgroup_write_group(Context(), str(directory), settings)
    assert caught.value.filename == f"{directory}/m.limit"
    assert tree.writes.count(("a/m.limit", "200")) == 2


def test_a_file_that_is_not_there(tree: Tree) -> None:
    path = f"{tree.root}/pids.max"
    limiting.cgroup_write(Context(), path, "5", 1)
    with pytest.raises(FileNotFoundError) as caught:
        limiting.cgroup_write(Context(), path, "5")
    assert "the pids controller is not enabled" in vars(caught.value)["hint"]


def test_the_first_file_that_is_there_is_written(tree: Tree) -> None:
    directory = str(tree.group("a", blkio_weight="1"))
    choices = (("blkio.bfq.weight", "5"), ("blkio.weight", "6"))
    limiting.cgroup_write_first(Context(), directory, choices)
    tree.group("a", blkio_bfq="")
    (tree.root / "a/blkio.bfq.weight").write_text("1")
    limiting.cgroup_write_first(Context(), directory, choices)
    assert tree.writes == [("a/blkio.weight", "6"), ("a/blkio.bfq.weight", "5")]
    with pytest.raises(FileNotFoundError) as caught:
        limiting.cgroup_write_first(Context(), str(tree.group("b")), choices)
    assert "modprobe bfq" in vars(caught.value)["hint"]


def changing() -> tuple[Context, list[tuple[str, list[str]]]]:
    context = Context()
    written: list[tuple[str, list[str]]] = []
    context.values["written"] = written
    return context, written


def test_a_change_remembers_what_it_writes_over(tree: Tree) -> None:
    context, written = changing()
    directory = tree.group("a", pids_max="max\n", cpu_weight="100\n")
    limiting.cgroup_write(context, f"{directory}/pids.max", "5")
    limiting.cgroup_write(context, f"{directory}/cpu.weight", "100")  # as it is
    assert tree.writes == [("a/pids.max", "5")]
    tree.errors["a/cpu.weight", ""] = errno.ERANGE
    with pytest.raises(OSError) as caught:
        limiting.cgroup_write(context, f"{directory}/cpu.weight", "0")
    assert vars(caught.value)["hint"] == "it takes from 1 to 10000"
    assert written == [(f"{directory}/pids.max", ["max"])]


@pytest.mark.parametrize(
    ("present", "wanted", "order"),
    [
        # max, swap: what is raised comes first.
        (("100", "100"), ("200", "0"), ["memory.max", "memory.swap.max"]),
        (("100", "0"), ("50", "100"), ["memory.swap.max", "memory.max"]),
        (("100", "100"), ("50", "50"), ["memory.swap.max", "memory.max"]),
        (("100", "0"), ("max", "max"), ["memory.swap.max", "memory.max"]),
    ],
)
def test_a_container_is_never_short_of_both_memory_and_swap(
    tree: Tree, present: tuple[str, str], wanted: tuple[str, str], order: list[str]
) -> None:
    context, _ = changing()
    directory = tree.group("a", memory_max=present[0])
    (directory / "memory.swap.max").write_text(present[1])
    settings = (("memory.swap.max", wanted[1], 1), ("memory.max", wanted[0], 0))
    limiting.cgroup_write_group(context, str(directory), settings)
    assert tree.writes == [
        (f"a/{name}", wanted[0 if name == "memory.max" else 1]) for name in order
    ]


def test_swap_that_is_not_counted_needs_no_limit(tree: Tree) -> None:
    context, written = changing()
    directory = tree.group("a", memory_max="max")
    settings = (("memory.swap.max", "0", 1), ("memory.max", "100", 0))
    limiting.cgroup_write_group(context, str(directory), settings)
    assert tree.writes == [("a/memory.max", "100")]
    assert written == [(f"{directory}/memory.max", ["max"])]


@pytest.mark.parametrize(
    ("file", "code", "hint"),
    [
        ("pids.max", errno.EINVAL, "it takes from 0 to 4194304"),
        ("memory.limit_in_bytes", errno.EINVAL, "not more than memory.memsw.limit_in_bytes"),
        ("cpu.cfs_period_us", errno.EINVAL, "it takes from 1000 to 1000000"),
        ("cpuset.cpus", errno.ERANGE, "use numbers that the group above has as well"),
        ("cpuset.mems", errno.ENOSPC, "a group keeps its numbers"),
        ("io.max", errno.ENODEV, "there is no block device of these numbers, or it is a partition"),
        ("io.weight", errno.EOPNOTSUPP, "choose bfq for it"),
        ("rdma.max", errno.ENODEV, "there is no RDMA device of that name"),
        ("net_prio.ifpriomap", errno.ENODEV, "there is no network interface of that name"),
    ],
)
def test_what_the_kernel_refuses_says_what_it_takes(
    tree: Tree, file: str, code: int, hint: str
) -> None:
    directory = tree.group("a")
    (directory / file).write_text("")
    tree.errors[f"a/{file}", ""] = code
    with pytest.raises(OSError) as caught:
        limiting.cgroup_write(Context(), f"{directory}/{file}", "1")
    assert hint in vars(caught.value)["hint"]


@pytest.mark.parametrize(
    ("present", "file", "hint"),
    [
        ("", "memory.high", "the memory controller is not enabled for this group, or this kernel"),
        ("", "memory.swap.max", "swapaccount=1"),
        ("tasks", "cpu.idle", "the kernel is older than Linux 5.15"),
        ("tasks", "blkio.leaf_weight", "Linux has no leaf weights since 5.0"),
        ("tasks", "cpu.rt_period_us", "the kernel does not have CONFIG_RT_GROUP_SCHED"),
        ("", "cgroup.nonsense", "this kernel does not have cgroup.nonsense"),
        ("hugetlb.2MB.max", "hugetlb.3MB.max", "the page sizes here are 2MB"),
    ],
)
def test_a_file_that_is_missing_says_what_would_make_it(
    tree: Tree, present: str, file: str, hint: str
) -> None:
    directory = tree.group("a")
    if present:
        (directory / present).write_text("")
    with pytest.raises(FileNotFoundError) as caught:
        limiting.cgroup_write(Context(), f"{directory}/{file}", "1")
    found = vars(caught.value)["hint"]
    assert hint in found
    assert ("not enabled" in found) == (not present and "cgroup" not in file)


def test_memory_in_use_cannot_be_taken_away(tree: Tree) -> None:
    directory = tree.group("a", memory_limit_in_bytes="")
    (directory / "memory.usage_in_bytes").write_text("500\n")
    (directory / "memory.max_usage_in_bytes").write_text("700\n")
    tree.errors["a/memory.limit_in_bytes", ""] = errno.EBUSY
    with pytest.raises(OSError) as caught:
        limiting.cgroup_write(Context(), f"{directory}/memory.limit_in_bytes", "5")
    hint = "500 bytes are in use and cannot be freed, at most 700 were"
    assert vars(caught.value)["hint"] == hint


def test_a_limit_above_use_is_checked(tree: Tree) -> None:
    directory = tree.group("a", memory_current="500\n")
    limiting.cgroup_check_memory(Context(), str(directory), 500)
    with pytest.raises(StepProblem, match="uses 500 bytes, more than the new limit of 499"):
        limiting.cgroup_check_memory(Context(), str(directory), 499)


def cpuset(tree: Tree, below: str, cpus: str = "", mems: str = "", optional: int = 0) -> None:
    args = (str(tree.root), below, cpus, mems, "cpuset.", optional)
    limiting.cgroup_cpuset_v1(Context(), *args)


def test_empty_cpusets_are_filled_from_above(tree: Tree) -> None:
    for name, cpus in (("", "0-3\n"), ("a", ""), ("a/b", "\n"), ("a/b/c", "")):
        tree.group(name, cpuset_cpus=cpus, cpuset_mems="0\n" if name == "" else "")
    cpuset(tree, "a/b/c", "1")
    assert tree.writes == [
        ("a/cpuset.cpus", "0-3"),
        ("a/b/cpuset.cpus", "0-3"),
        ("a/b/c/cpuset.cpus", "1"),
        ("a/cpuset.mems", "0"),
        ("a/b/cpuset.mems", "0"),
        ("a/b/c/cpuset.mems", "0"),
    ]


def test_a_smaller_cpuset_above_is_what_is_inherited(tree: Tree) -> None:
    for name, cpus in (("", "0-3\n"), ("a", "2-3\n"), ("a/b", "")):
        tree.group(name, cpuset_cpus=cpus, cpuset_mems="0\n" if name != "a/b" else "")
    cpuset(tree, "a/b")
    assert tree.writes == [("a/b/cpuset.cpus", "2-3"), ("a/b/cpuset.mems", "0")]


def test_a_cpuset_that_was_refused_is_not_filled(tree: Tree) -> None:
    tree.group("", cpuset_cpus="0\n", cpuset_mems="0\n")
    cpuset(tree, "a", optional=1)
    with pytest.raises(FileNotFoundError):
        cpuset(tree, "a")


# --- entering ---


def test_tasks_files_are_opened_and_written_and_closed(tree: Tree) -> None:
    for name in ("a", "b", "c"):
        tree.group(name, tasks="")
    (tree.root / "c/tasks").unlink()
    required = (f"{tree.root}/a", f"{tree.root}/b")
    optional = (f"{tree.root}/c",)
    context = Context()
    entry.cgroup_open(context, required, optional)
    assert len(context.fds) == 2
    entry.cgroup_enter(context, required, optional)
    assert context.fds == {}
    assert (tree.root / "a/tasks").read_text() == "0"


def test_the_one_that_cloned_lets_go(tree: Tree) -> None:
    tree.group("a", tasks="")
    context = Context()
    entry.cgroup_open(context, (f"{tree.root}/a",), ())
    entry.cgroup_close(context, (f"{tree.root}/a", f"{tree.root}/b"))
    assert context.fds == {}
    assert (tree.root / "a/tasks").read_text() == ""


def test_a_group_that_must_be_entered_must_be_there(tree: Tree) -> None:
    with pytest.raises(FileNotFoundError, match="tasks"):
        entry.cgroup_open(Context(), (f"{tree.root}/a",), ())


def test_a_group_that_takes_no_process(tree: Tree) -> None:
    reader, writer = os.pipe()
    os.close(writer)
    context = Context({"cgroup /a": reader})  # writing to it fails
    with pytest.raises(OSError, match=r'write\("0"\)') as caught:
        entry.cgroup_enter(context, ("/a",), ())
    assert caught.value.filename == "/a/tasks"
    context.release("cgroup /a")


def test_a_process_is_joined_from_outside(tree: Tree) -> None:
    tree.group("a", cgroup_procs="")
    context = Context()
    context.pid = 1234
    entry.cgroup_join(context, (f"{tree.root}/a",), (f"{tree.root}/b",))
    assert tree.writes == [("a/cgroup.procs", "1234"), ("b/cgroup.procs", "1234")]
    tree.errors["a/cgroup.procs", ""] = errno.EBUSY
    with pytest.raises(OSError, match="1234") as caught:
        entry.cgroup_join(context, (f"{tree.root}/a",), ())
    assert "distributes controllers" in vars(caught.value)["hint"]


def test_an_exiting_process_is_tried_again(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.group("a", cgroup_procs="")
    tree.errors["a/cgroup.procs", ""] = errno.EINVAL
    start = time.monotonic()
    with pytest.raises(OSError, match="Invalid argument"):
        files.write_pid(f"{tree.root}/a/cgroup.procs", 1)
    assert 0.1 < time.monotonic() - start < 1
    tree.writes.clear()
    write = files.write

    def later(path: str, value: str) -> None:
        if len(tree.writes) == 2:
            del tree.errors["a/cgroup.procs", ""]
        write(path, value)

    monkeypatch.setattr(files, "write", later)
    files.write_pid(f"{tree.root}/a/cgroup.procs", 1)
    assert tree.writes == [("a/cgroup.procs", "1")] * 3


def test_the_directory_to_clone_into(tree: Tree) -> None:
    tree.group("a")
    context = Context()
    entry.cgroup_open_directory(context, f"{tree.root}/b", 1)
    assert context.fds == {}
    entry.cgroup_open_directory(context, f"{tree.root}/a", 0)
    assert os.path.samestat(os.fstat(context.fds["cgroup"]), os.stat(tree.root / "a"))
    context.release("cgroup")


# --- files ---


def test_other_file_systems_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pids.max").write_text("")
    with pytest.raises(OSError, match="not on a cgroup file system") as caught:
        files.write(f"{tmp_path}/pids.max", "5")
    assert caught.value.errno == errno.EXDEV
    assert (tmp_path / "pids.max").read_text() == ""


def test_symbolic_links_are_not_followed(tree: Tree) -> None:
    (tree.root / "pids.max").symlink_to("/etc/hostname")
    with pytest.raises(OSError, match="ymbolic link"):
        files.read(f"{tree.root}/pids.max")


def test_a_group_of_threads_lists_threads(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    read = files.read

    def refuse(path: str) -> str:
        if path.endswith(".procs"):
            raise OSError(errno.EOPNOTSUPP, "read", path)
        return read(path)

    monkeypatch.setattr(files, "read", refuse)
    tree.group("a", cgroup_procs="", cgroup_threads="5\n6\n")
    assert files.pids(f"{tree.root}/a") == [5, 6]


def test_processes_of_groups_below_are_counted_once(tree: Tree) -> None:
    for name, listed in (("a", "1\n2\n"), ("a/b", "3\n2\n"), ("a/b/c", "")):
        tree.group(name, cgroup_procs=listed)
    assert sorted(files.tree_pids(f"{tree.root}/a")) == [1, 2, 3]
    assert files.tree_pids(f"{tree.root}/nothing") == []


# --- live managers ---


def test_processes_of_other_pid_namespaces_have_no_number(tree: Tree) -> None:
    tree.group("a", cgroup_procs="0\n5\n")
    made = cgroups.load(Cgroup(), {"": f"{tree.root}/a"})
    assert made.pids() == made.all_pids() == [5]


def test_numbers_out_of_event_files(tree: Tree) -> None:
    tree.group(
        "a",
        memory_events="low 0\noom 3\noom_kill 2\n",
        cgroup_events="populated 1\nfrozen 0\n",
        cgroup_freeze="0\n",
    )
    made = cgroups.load(Cgroup(), {"": f"{tree.root}/a"})
    assert made.oom_kill_count() == 2
    assert made.populated()
    assert not made.frozen()
    tree.group("m", memory_oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    assert cgroups.load(Cgroup(), {"memory": f"{tree.root}/m"}).oom_kill_count() == 4


def test_changing_limits_writes_them(tree: Tree) -> None:
    directory = tree.group("a", pids_max="", cpu_weight="")
    made = cgroups.load(Cgroup(), {"": str(directory)})
    made.set(Resources(pids_limit=5, cpu_shares=1024, skip_devices=True))
    assert tree.writes == [("a/pids.max", "5"), ("a/cpu.weight", "100")]


def test_a_change_that_fails_says_where_and_why(tree: Tree) -> None:
    made = cgroups.load(Cgroup(), {"": f"{tree.root}/a"})
    with pytest.raises(CgroupError) as caught:
        made.set(Resources(pids_limit=5, skip_devices=True))
    text = str(caught.value)
    assert text.startswith(f"cannot write 5 to {tree.root}/a/pids.max: openat(")
    assert "No such file or directory" in text
    assert "(the pids controller is not enabled" in text
    assert text.endswith("[from linux.resources.pids.limit]")

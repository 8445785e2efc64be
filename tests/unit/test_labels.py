"""AppArmor profiles and SELinux labels: rules, and what is planned for them."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from libct.bootstrap.context import Context
from libct.config import Config, Mount
from libct.config.mount_flags import MS_BIND, MS_RDONLY, MS_REMOUNT
from libct.config.namespace import NEWPID
from libct.config.rules_process import validate_process
from libct.config.validate import validate
from libct.life.process import Process
from libct.plan.labels import context_options, label_steps, shared, with_mount_labels
from libct.plan.masks import masked_path_steps
from libct.security import labels
from libct.syscalls.constants import CLONE_NEWNS, CLONE_NEWPID

from .test_config_validate import MadeUp, found
from .test_plan import USUAL, config_with, further, root, start

if TYPE_CHECKING:
    from pathlib import Path

    from libct.plan.step import Plan

LABEL = "system_u:object_r:container_file_t:s0:c1,c2"
PROCESS = "system_u:system_r:container_t:s0:c1,c2"
CONTEXT = "run.oci.mount_context_type"


def ops(plan: Plan, *names: str) -> list[tuple[str, str, Any]]:
    """(process, operation, first argument) of the steps of some operations, in order."""
    return [(one.process, one.op, one.args[0]) for one in plan if one.op in names]


def test_what_the_host_does_not_have_is_refused_by_name() -> None:
    tried = config_with(*USUAL, apparmor_profile="box", process_label=PROCESS, mount_label=LABEL)
    assert found(tried, apparmor=False, selinux=False) == [
        "process.apparmorProfile: AppArmor is not enabled on this host",
        "process.selinuxLabel: SELinux is not enabled on this host",
        "linux.mountLabel: SELinux is not enabled on this host",
    ]
    assert found(tried) == []
    assert found(config_with(*USUAL, apparmor_profile="unconfined"), apparmor=False) == []


def test_and_so_it_is_of_a_further_process() -> None:
    process = Process(["true"], apparmor_profile="box", label=PROCESS)
    off = MadeUp(apparmor=False, selinux=False)
    assert [str(one) for one in validate_process(process, Config("/"), off)] == [
        "process.apparmorProfile: AppArmor is not enabled on this host",
        "process.selinuxLabel: SELinux is not enabled on this host",
    ]
    assert validate_process(process, Config("/"), MadeUp()) == []


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        (Mount("/a", "/srv/a", "bind", MS_BIND, relabel="z"), ""),
        (Mount("/a", "/srv/a", "bind", MS_BIND, relabel="Z"), ""),
        (Mount("/a", "/srv/a", "bind", MS_BIND, relabel="zZ"), "zZ: not a way to label"),
        (Mount("/a", "tmpfs", "tmpfs", relabel="z"), "z: only the files of a bind mount"),
        (Mount("/a", "/usr/", "bind", MS_BIND, relabel="Z"), "Z: '/usr/' is the host's"),
    ],
)
def test_what_is_labelled_anew(mount: Mount, message: str) -> None:
    place = "mounts[0].options: "
    got = found(config_with(*USUAL, mounts=[mount], mount_label=LABEL))
    assert [one[: len(place + message)] for one in got] == ([place + message] if message else [])


def test_files_are_labelled_with_the_label_of_mounts() -> None:
    mount = Mount("/a", "/srv/a", "bind", MS_BIND, relabel="z")
    (message,) = found(config_with(*USUAL, mounts=[mount]))
    assert message.startswith("mounts[0].options: z: needs linux.mountLabel")


def test_the_kind_of_context_is_one_that_selinux_has() -> None:
    tried = config_with(*USUAL, mount_label=LABEL, labels=[f"{CONTEXT}=fancy"])
    (message,) = found(tried)
    assert message.startswith(f"annotations.{CONTEXT}: unknown type: 'fancy' (known: context, ")
    for kind in ("context", "fscontext", "defcontext", "rootcontext"):
        tried = config_with(*USUAL, mount_label=LABEL, labels=[f"{CONTEXT}={kind}"])
        assert validate(tried, MadeUp()) == []
        assert context_options(tried) == ((kind, LABEL),)
    assert context_options(config_with(*USUAL, mount_label=LABEL)) == (("context", LABEL),)
    assert context_options(config_with(*USUAL)) == ()


def test_a_label_of_mounts_goes_where_the_kernel_takes_it() -> None:
    mounts = [
        Mount("/proc", "proc", "proc"),
        Mount("/sys", "sysfs", "sysfs"),
        Mount("/dev", "tmpfs", "tmpfs", data="mode=755"),
        Mount("/dev/pts", "devpts", "devpts"),
        Mount("/dev/mqueue", "mqueue", "mqueue"),
        Mount("/data", "/srv", "bind", MS_BIND),
        Mount("/data", "", "", MS_BIND | MS_REMOUNT | MS_RDONLY),
        Mount("/own", "tmpfs", "tmpfs", data="context=mine,size=5"),
        Mount("/cgroup", "cgroup2", "cgroup2"),
    ]
    asked = config_with(*USUAL, mounts=mounts, mount_label=LABEL)
    before = asked.copy()
    assert [mount.data for mount in with_mount_labels(asked).mounts] == [
        "",
        "",
        f'mode=755,context="{LABEL}"',
        f'context="{LABEL}"',
        "",
        "",
        "",
        "context=mine,size=5",
        "",
    ]
    assert asked == before
    plan = start(asked, root())
    options = {one.args[0]: one.args[3] for one in plan if one.op == "mount_filesystem"}
    assert options["/dev"] == (("mode", "755"), ("context", LABEL))
    names = [one.op for one in plan if one.why == "mounts[4]"]
    assert names == ["mount_filesystem", "label_mount"]
    (mqueue,) = [one for one in plan if one.op == "label_mount"]
    assert mqueue.args == ("/dev/mqueue", LABEL)


def test_mounts_of_libcts_own_have_the_label_too() -> None:
    mounts = [Mount("/sys/fs/cgroup", "cgroup", "cgroup")]
    asked = config_with(*USUAL, mounts=mounts, mount_label=LABEL, mask_paths=["/a", "/b"])
    (tmpfs,) = [one for one in start(asked, root()) if one.op == "mount_filesystem"]
    assert tmpfs.args[:4] == (
        *("/sys/fs/cgroup", "tmpfs", "tmpfs"),
        (("mode", "755"), ("context", LABEL)),
    )
    assert [one.args[2:] for one in masked_path_steps(asked)] == [((("context", LABEL),),)] * 2
    asked.mount_label = ""
    assert [one.args[2:] for one in masked_path_steps(asked)] == [(), ()]


def test_files_are_labelled_before_they_are_mounted() -> None:
    mounts = [
        Mount("/a", "/srv/a", "bind", MS_BIND, relabel="z"),
        Mount("/b", "/srv/b", "bind", MS_BIND, relabel="Z"),
    ]
    plan = start(config_with(*USUAL, mounts=mounts, mount_label=LABEL), root())
    assert [(one.op, one.args[:3]) for one in plan if one.op in ("relabel", "bind")] == [
        ("relabel", ("/srv/a", "", "system_u:object_r:container_file_t:s0")),
        ("bind", ("/a", "/srv/a", False)),
        ("relabel", ("/srv/b", "", LABEL)),
        ("bind", ("/b", "/srv/b", False)),
    ]


def test_a_shared_label_has_no_categories() -> None:
    assert shared(LABEL) == "system_u:object_r:container_file_t:s0"
    assert shared("u:r:t:s0") == "u:r:t:s0"
    assert shared("u:r:t") == "u:r:t"


LABELS = ("set_exec_profile", "set_exec_label", "set_key_label", "join_session_keyring")
AROUND = (*LABELS, "clone_command", "close_descriptors")


def test_who_becomes_the_command_says_what_it_is_confined_by() -> None:
    asked = config_with(*USUAL, apparmor_profile="box", process_label=PROCESS)
    plan = start(asked, root(), hold=False)
    assert ops(plan, *LABELS) == [
        ("init", "set_key_label", PROCESS),
        ("init", "join_session_keyring", "_ses.box"),
        ("init", "set_key_label", ""),
        ("init", "set_exec_profile", "box"),
        ("init", "set_exec_label", PROCESS),
    ]
    names = [one.op for one in plan]
    assert names.index("set_exec_label") < names.index("become_user")
    (profile, label) = [one for one in plan if one.op in LABELS[:2]]
    path = "thread-self/attr/apparmor/exec"
    resolve = "RESOLVE_BENEATH|RESOLVE_NO_XDEV"
    assert profile.calls == [
        f'openat2("{path}", O_WRONLY|O_CLOEXEC, {resolve})',
        "fstatfs(PROC_SUPER_MAGIC)",
        'write("exec box")',
    ]
    assert label.calls[2] == f'write("{PROCESS}")'
    assert label.why == "process.selinuxLabel"


def test_in_a_pod_the_cloner_says_it_for_the_command() -> None:
    asked = config_with(*USUAL[:1], (NEWPID, "/proc/9/ns/pid"), process_label=PROCESS)
    names = [(one.process, one.op) for one in start(asked, root()) if one.op in AROUND]
    assert names.index(("stage", "set_exec_label")) < names.index(("stage", "close_descriptors"))
    assert names.index(("stage", "close_descriptors")) < names.index(("stage", "clone_command"))


def test_a_further_process_has_its_own_or_those_of_the_container() -> None:
    asked = config_with(*USUAL, apparmor_profile="box", process_label=PROCESS)
    flags = CLONE_NEWNS | CLONE_NEWPID
    assert ops(further(asked, root(), flags), *LABELS) == [
        ("stage", "set_key_label", PROCESS),
        ("stage", "join_session_keyring", "_ses.box"),
        ("stage", "set_key_label", ""),
        ("stage", "set_exec_profile", "box"),
        ("stage", "set_exec_label", PROCESS),
    ]
    own = further(asked, root(), flags, apparmor_profile="other", label="a:b:c")
    assert ops(own, *LABELS[:2]) == [
        ("stage", "set_exec_profile", "other"),
        ("stage", "set_exec_label", "a:b:c"),
    ]
    plain = further(config_with(*USUAL), root(), flags)
    assert ops(plain, *LABELS) == [("stage", "join_session_keyring", "_ses.box")]


def test_unconfined_is_said_where_there_is_apparmor() -> None:
    process = Process(["true"], apparmor_profile="unconfined")
    config = Config("/")
    for on in (False, True):
        host = root()
        host._apparmor = on
        assert [one.op for one in label_steps(config, process, host)] == (
            ["set_exec_profile"] if on else []
        )


@pytest.mark.parametrize("apparmor", [False, True])
def test_a_profile_goes_to_apparmors_own_file(
    apparmor: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AppArmor is not on here: its files are recorded, and not written."""
    written = []

    def look(proc: int, path: str, flags: int) -> int:
        assert (proc, path) == (7, "thread-self/attr/apparmor")
        if not apparmor:
            raise FileNotFoundError(errno.ENOENT, "no such file")
        return os.open(tmp_path, flags)

    monkeypatch.setattr(labels, "open_proc_file", look)
    monkeypatch.setattr(labels, "write_proc_file", lambda *call: written.append(call))
    labels.set_exec_profile(Context({"proc": 7}), "box")
    name = "apparmor/exec" if apparmor else "exec"
    assert written == [(7, f"thread-self/attr/{name}", "exec box")]


def test_a_profile_that_is_not_loaded_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*call: object) -> int:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(labels, "open_proc_file", missing)
    monkeypatch.setattr(labels, "write_proc_file", missing)
    with pytest.raises(FileNotFoundError) as caught:
        labels.set_exec_profile(Context({"proc": 7}), "box")
    assert "the profile 'box' is not loaded" in getattr(caught.value, "hint", "")

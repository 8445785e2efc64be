"""Capabilities, the session keyring and the change of user, as processes then see them."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.attributes.procfs import open_proc
from libct.bootstrap.context import Context
from libct.bootstrap.performer import find
from libct.config import Capabilities
from libct.errors import StepProblem
from libct.life.host import own_capabilities
from libct.plan.capabilities import (
    Grantable,
    bounding_steps,
    capability_masks,
    capability_steps,
    no_new_privileges,
)
from libct.plan.keyring import keyring_steps
from libct.plan.namespaces import become_root, make_undumpable
from libct.plan.users import become_user, own_stdio, resolve_user
from libct.security.keyring import join_session_keyring
from libct.syscalls import keys
from libct.syscalls.constants import CAPABILITIES
from libct.syscalls.credentials import capget, capset
from libct.syscalls.process import (
    SECBIT_NO_CAP_AMBIENT_RAISE,
    cap_ambient_raise,
    capbset_drop,
    get_dumpable,
    set_dumpable,
)
from tests.prctl import set_securebits

from ..containers import make_config, run_in, running, state_directory
from ..support import CLONE_NEWUSER, forked, in_namespaces, requires, unique

if TYPE_CHECKING:
    from collections.abc import Iterator

    from libct.plan.step import Step

pytestmark = requires("root")

SOMEBODY = 65533  # an ordinary user's id, without an account
KILL, NET_BIND, CHOWN = 1 << 5, 1 << 10, 1 << 0


def perform(steps: list[Step], context: Context | None = None) -> Context:
    context = context or Context()
    if "proc" not in context.fds:
        open_proc(context)
    for step in steps:
        find(step.performer)(context, *step.args)
    return context


def status(text: str = "") -> dict[str, int]:
    """The sets and NoNewPrivs of /proc/self/status."""
    if not text:
        with open("/proc/self/status") as file:
            text = file.read()
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.startswith("Cap"):
            found[name] = int(value, 16)
        elif name == "NoNewPrivs":
            found[name] = int(value)
    return found


def as_user(uid: int, gid: int = 0, groups: tuple[int, ...] = ()) -> Context:
    """A context in which the user is known already."""
    context = Context()
    values: dict[str, Any] = {"uid": uid, "gid": gid, "groups": list(groups)}
    context.values.update({**values, "may set groups": True})
    return context


def sets(*names: str, **others: list[str]) -> Capabilities:
    chosen = list(names)
    every = {"bounding": chosen, "effective": chosen, "permitted": chosen}
    return Capabilities(**{**every, **others})


def changes(given: Capabilities | None, most: Grantable | None = None) -> list[Step]:
    masks = capability_masks(given, most)
    return [*bounding_steps(masks), become_user(), *capability_steps(masks)]


def test_root_keeps_what_is_listed() -> None:
    def body() -> dict[str, int]:
        given = sets("CAP_KILL", "CAP_CHOWN", "CAP_NO_SUCH", bounding=["CAP_KILL"])
        perform(changes(given), as_user(0))
        return status()

    found = forked(body)
    assert found["CapBnd"] == KILL
    assert found["CapPrm"] == found["CapEff"] == KILL | CHOWN
    assert found["CapInh"] == found["CapAmb"] == 0


def test_no_later_change_of_user_keeps_capabilities() -> None:
    def body() -> dict[str, int]:
        perform(changes(sets("CAP_KILL", "CAP_SETUID")), as_user(0))
        os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)
        return status()

    found = forked(body)
    assert found["CapPrm"] == found["CapEff"] == 0


def test_the_callers_ambient_capabilities_are_cleared() -> None:
    def body() -> dict[str, int]:
        _, permitted, _ = capget()
        capset(permitted, permitted, KILL)
        cap_ambient_raise(CAPABILITIES["CAP_KILL"])
        assert status()["CapAmb"] == KILL
        perform(changes(sets("CAP_KILL", inheritable=["CAP_KILL"])), as_user(0))
        return status()

    found = forked(body)
    assert found["CapInh"] == KILL
    assert found["CapAmb"] == 0


def test_nothing_is_kept_without_a_list() -> None:
    def body() -> dict[str, int]:
        perform(changes(None), as_user(0))
        return status()

    assert {value for name, value in forked(body).items() if name != "NoNewPrivs"} == {0}


def test_ambient_capabilities_reach_the_program_of_an_ordinary_user() -> None:
    def body() -> dict[str, int]:
        names = ["CAP_NET_BIND_SERVICE"]
        given = sets("CAP_NET_BIND_SERVICE", "CAP_KILL", inheritable=names, ambient=names)
        user = as_user(SOMEBODY, SOMEBODY)
        perform(changes(given), user)
        assert status()["CapEff"] == NET_BIND | KILL
        shown = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True)
        return status(shown.stdout)

    found = forked(body)
    assert found["CapEff"] == found["CapPrm"] == found["CapAmb"] == found["CapInh"] == NET_BIND
    assert found["CapBnd"] == NET_BIND | KILL


@pytest.mark.parametrize("bounding", [True, False])
@pytest.mark.parametrize("inheritable", [0, CHOWN])
@pytest.mark.parametrize("uid", [0, SOMEBODY])
def test_what_can_be_granted_is_as_the_kernel_has_it(
    bounding: bool, inheritable: int, uid: int
) -> None:
    """Each set that the plan holds is taken by the kernel, with what the process has itself."""

    def body() -> dict[str, int]:
        setpcap = 1 << CAPABILITIES["CAP_SETPCAP"] | 1 << CAPABILITIES["CAP_SETUID"]
        have = NET_BIND | KILL | setpcap | 1 << CAPABILITIES["CAP_SETGID"]
        capset(have, have, inheritable)
        if not bounding:
            capbset_drop(CAPABILITIES["CAP_CHOWN"])
        most = own_capabilities()
        given = sets("CAP_KILL", "CAP_CHOWN", inheritable=["CAP_CHOWN", "CAP_KILL"])
        given.ambient = ["CAP_KILL", "CAP_CHOWN"]
        perform(changes(given, most), as_user(uid))
        return status()

    found = forked(body)
    assert found["CapPrm"] == found["CapEff"] == found["CapAmb"] == KILL
    assert found["CapInh"] == KILL | inheritable
    assert found["CapBnd"] == (KILL | CHOWN if bounding else KILL)


def test_a_container_of_a_program_that_has_given_capabilities_up() -> None:
    """Of its own accord, so that its bounding set says nothing of it, or the other way round."""
    every = ["CAP_KILL", "CAP_CHOWN", "CAP_NET_BIND_SERVICE"]
    given = sets(*every, inheritable=every, ambient=every)
    script = "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status"

    config = make_config(capabilities=given)
    state_directory()  # not one that is the child's alone

    def body() -> tuple[list[str], list[str]]:
        capbset_drop(CAPABILITIES["CAP_NET_BIND_SERVICE"])
        effective, permitted, _ = capget()
        capset(effective & ~CHOWN, permitted & ~CHOWN, 0)
        set_securebits(SECBIT_NO_CAP_AMBIENT_RAISE)
        with running(config) as container:
            done = run_in(container, "sh", "-c", script)
            return done.lines, container.warnings

    lines, warnings = forked(body)
    found = {name: int(value, 16) for name, value in (line.split(":\t") for line in lines)}
    assert found == {
        "CapInh": KILL,
        "CapPrm": KILL | CHOWN,  # execve, for root
        "CapEff": KILL | CHOWN,
        "CapBnd": KILL | CHOWN,
        "CapAmb": 0,
    }
    left_out = "cannot be granted, left out:"
    lacks, bits = f"{left_out} libct itself does not have it", "the secure bits of libct's process"
    assert sorted(warnings) == [
        f"process.capabilities.ambient[0]: CAP_KILL {left_out} {bits} forbid ambient capabilities",
        f"process.capabilities.bounding[2]: CAP_NET_BIND_SERVICE {lacks}",
        f"process.capabilities.permitted[1]: CAP_CHOWN {lacks}",
    ]


def test_the_bounding_set_needs_cap_setpcap_only_for_what_is_in_it() -> None:
    def body() -> None:
        perform(bounding_steps(capability_masks(sets("CAP_KILL")))[:1])
        capset(KILL, KILL, 0)
        perform(bounding_steps(capability_masks(sets("CAP_KILL")))[:1])
        with pytest.raises(PermissionError, match="PR_CAPBSET_DROP"):
            perform(bounding_steps(capability_masks(None))[:1])

    forked(body)


def test_no_new_privileges() -> None:
    def body() -> dict[str, int]:
        perform([no_new_privileges()])
        return status()

    assert forked(body)["NoNewPrivs"] == 1


def test_the_keyring_is_shared_by_name() -> None:
    name = unique("keyring")

    def join(new: bool) -> str:
        perform(keyring_steps(name, new=new))
        return keys.keyctl_describe(keys.KEY_SPEC_SESSION_KEYRING)

    def body() -> None:
        mine = join(new=True)
        fields = mine.split(";")
        assert fields[0] == "keyring"
        assert fields[4] == f"_ses.{name}"
        assert int(fields[3], 16) & keys.KEY_USR_SEARCH
        assert forked(lambda: join(new=False)) == mine

    forked(body)


def test_a_keyring_in_a_user_namespace_can_be_searched_by_others() -> None:
    def body() -> int:
        perform(keyring_steps(unique("keyring"), new=True, user_namespace=True))
        return int(keys.keyctl_describe(keys.KEY_SPEC_SESSION_KEYRING).split(";")[3], 16)

    assert in_namespaces(CLONE_NEWUSER, body) & keys.KEY_OTH_SEARCH


def test_another_users_keyring_of_the_name_is_not_joined() -> None:
    name = "_ses." + unique("keyring")

    def join() -> set[str]:
        join_session_keyring(Context(), name, keys.KEY_USR_SEARCH)
        join_session_keyring(Context(), name, keys.KEY_USR_SEARCH)  # already ours
        with open("/proc/keys") as file:
            return {line.split()[0] for line in file if name in line}

    def other() -> set[str]:
        os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)
        return join()

    def body() -> tuple[set[str], set[str], set[str]]:
        return join(), forked(join), forked(other)

    mine, same, others = forked(body)
    assert mine == same != others


def test_a_process_becomes_the_user_of_the_containers_files(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("web:x:33:34::/srv:\n")
    (tmp_path / "etc/group").write_text("audio:x:63:web\n")

    def body() -> None:
        context = Context()
        context.keep("root", os.open(tmp_path, os.O_PATH))
        context.keep("proc", os.open("/proc", os.O_PATH))
        perform([resolve_user("web", (7,)), become_user()], context)
        assert os.getresuid() == (33, 33, 33)
        assert os.getresgid() == (34, 34, 34)
        assert sorted(os.getgroups()) == [7, 63]
        assert context.values["home"] == "/srv"

    forked(body)


def test_a_process_makes_itself_undumpable() -> None:
    def body() -> tuple[int, int]:
        set_dumpable(True)
        before = get_dumpable()
        perform([make_undumpable()])
        return before, get_dumpable()

    assert forked(body) == (1, 0)


@contextlib.contextmanager
def suid_dumpable(value: int) -> Iterator[None]:
    """The machine's; 0 is usual, 1 is for debugging."""
    sysctl = Path("/proc/sys/fs/suid_dumpable")
    before = sysctl.read_text()
    sysctl.write_text(str(value))
    try:
        yield
    finally:
        sysctl.write_text(before)


@requires("suid_dumpable")
@pytest.mark.parametrize("value", [0, 1, 2])
def test_who_changes_its_ids_stays_undumpable(value: int) -> None:
    def user() -> int:
        set_dumpable(False)
        perform([become_user()], as_user(SOMEBODY, SOMEBODY))
        return get_dumpable()

    def root_of_a_namespace() -> int:
        set_dumpable(False)
        perform([become_root()])
        assert os.geteuid() == 0
        return get_dumpable()

    def bare() -> int:
        set_dumpable(False)
        os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)
        return get_dumpable()

    ids = f"0 {SOMEBODY} 1"
    with suid_dumpable(value):
        assert forked(bare) == value  # there is something to be mended
        assert forked(user) == 0
        assert in_namespaces(CLONE_NEWUSER, root_of_a_namespace, uid_map=ids, gid_map=ids) == 0


@requires("suid_dumpable", "busybox")
def test_a_created_container_is_not_dumpable() -> None:
    """It waits as the user that the command will be, and other processes may be that user's."""
    with libct.create(state_directory(), unique(), make_config()) as container:
        process = libct.Process(["true"], user="1000:1000", init=True)
        with suid_dumpable(1):
            container.start(process)
            owner = os.stat(f"/proc/{process.pid}/environ").st_uid
        assert Path(f"/proc/{process.pid}").stat().st_uid == 1000
        assert owner == 0  # proc(5): root, of what is not dumpable


@pytest.mark.parametrize(
    ("user", "groups", "message", "hint"),
    [
        ("5", (), "user 5 is not mapped", "uidMappings"),
        ("0:5", (), "group 5 is not mapped", "gidMappings"),
        ("0:0", (5,), "one of the groups [5] is not mapped", "gidMappings"),
    ],
)
def test_ids_without_a_mapping_are_refused(
    user: str, groups: tuple[int, ...], message: str, hint: str
) -> None:
    def body() -> None:
        context = Context()
        context.keep("root", os.open("/proc", os.O_PATH))  # a root without /etc
        context.keep("proc", os.open("/proc", os.O_PATH))
        with pytest.raises(StepProblem) as caught:
            perform([resolve_user(user, groups), become_user()], context)
        assert message in caught.value.message
        assert hint in caught.value.hint

    in_namespaces(CLONE_NEWUSER, body, uid_map="0 0 1", gid_map="0 0 1")


def test_groups_stay_where_the_namespace_denies_to_set_them() -> None:
    def body() -> None:
        context = Context()
        context.keep("root", os.open("/proc", os.O_PATH))  # a root without /etc
        context.keep("proc", os.open("/proc", os.O_PATH))
        perform([resolve_user("0:0", ()), become_user()], context)
        with pytest.raises(StepProblem, match="setgroups is denied"):
            perform([resolve_user("0:0", (0,)), become_user()], context)

    def as_somebody() -> None:
        os.setgroups([])
        os.setresgid(SOMEBODY, SOMEBODY, SOMEBODY)
        os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)
        set_dumpable(True)  # or nobody could write the maps
        in_namespaces(CLONE_NEWUSER, body)

    forked(as_somebody)


def test_groups_that_cannot_be_set_are_an_error() -> None:
    """They would stay the caller's."""

    def body() -> None:
        os.setgroups([7])
        _, permitted, _ = capget()
        fewer = permitted & ~(1 << CAPABILITIES["CAP_SETGID"])
        capset(fewer, fewer, 0)
        with pytest.raises(PermissionError):
            perform([become_user()], as_user(0, 0))
        assert os.getgroups() == [7]

    forked(body)


def test_the_standard_streams_become_the_users_but_for_the_null_device(tmp_path: Path) -> None:
    def body() -> None:
        os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        null = os.open(tmp_path / "null", os.O_RDWR)
        with tempfile.TemporaryFile() as file:
            _, writer = os.pipe()
            os.dup2(null, 0)
            os.dup2(file.fileno(), 1)
            os.dup2(writer, 2)
            perform([own_stdio()], as_user(SOMEBODY))
        assert [os.fstat(fd).st_uid for fd in (0, 1, 2)] == [0, SOMEBODY, SOMEBODY]
        assert os.fstat(1).st_gid == os.getgid()

    forked(body)

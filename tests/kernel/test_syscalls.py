"""The bindings that change a machine, in forked children and namespaces of their own."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from libct.syscalls import (
    bpf,
    credentials,
    filesystems,
    keys,
    mounts,
    namespaces,
    process,
    scheduling,
    settings,
    uts,
)
from libct.syscalls.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    CAPABILITIES,
    CGROUP2_SUPER_MAGIC,
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    CLONE_PIDFD,
    FSPICK_EMPTY_PATH,
    MNT_DETACH,
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_IDMAP,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_RDONLY,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    MS_BIND,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SHARED,
    OPEN_TREE_CLONE,
    SECBIT_NOROOT,
    ST_NOATIME,
    ST_NODEV,
    ST_NOEXEC,
    ST_RDONLY,
    TMPFS_MAGIC,
    UMOUNT_NOFOLLOW,
)
from libct.syscalls.scheduling_constants import (
    IOPRIO_CLASS_RT,
    IOPRIO_CLASS_SHIFT,
    IOPRIO_WHO_PROCESS,
    SCHED_FIFO,
)

from .. import prctl
from ..support import forked, in_namespaces, requires

if TYPE_CHECKING:
    from collections.abc import Callable

CAP_KILL = CAPABILITIES["CAP_KILL"]


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def in_child(body: Callable[[], Any]) -> None:
    """For the child of a clone: run body and leave; a failure is status 1."""
    status = 1
    try:
        body()
        status = 0
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
    finally:
        os._exit(status)


# -- namespaces.py


@requires("root")
def test_clone3_makes_namespaces() -> None:
    def body() -> None:
        kinds = {
            "cgroup": CLONE_NEWCGROUP,
            "ipc": CLONE_NEWIPC,
            "mnt": CLONE_NEWNS,
            "net": CLONE_NEWNET,
            "pid": CLONE_NEWPID,
            "uts": CLONE_NEWUTS,
        }
        before = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in kinds}
        pid, pidfd = namespaces.clone3(sum(kinds.values()) | CLONE_PIDFD, signal.SIGCHLD)
        if pid == 0:
            signal.pause()
        after = {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in kinds}
        assert not set(before.values()) & set(after.values())
        process.pidfd_send_signal(pidfd, signal.SIGKILL)
        assert wait(pid) == -signal.SIGKILL

    forked(body)


@requires("root")
def test_clone3_chooses_the_pid() -> None:
    def body() -> None:
        pid, _ = namespaces.clone3(CLONE_NEWPID, signal.SIGCHLD, set_tid=(1,))
        if pid == 0:

            def inside() -> None:
                assert os.getpid() == 1
                child, _ = namespaces.clone3(0, signal.SIGCHLD, set_tid=(42,))
                if child == 0:
                    os._exit(0 if os.getpid() == 42 else 1)
                assert (child, wait(child)) == (42, 0)

            in_child(inside)
        assert wait(pid) == 0
        taken = os.getppid()
        with pytest.raises(FileExistsError, match=rf"clone3\(.*, set_tid=\[{taken}\]\}}\)"):
            namespaces.clone3(0, signal.SIGCHLD, set_tid=(taken,))

    forked(body)


@requires("root", "cgroup2")
def test_clone3_puts_the_child_into_a_cgroup() -> None:
    in_cgroup2(_clone_into)


def in_cgroup2(body: Callable[[str], None]) -> None:
    """Call body with the path of a new cgroup v2, in a mount namespace of its own."""

    def inside() -> None:
        mounts.mount("cgroup2", "/mnt", "cgroup2")
        assert filesystems.statfs("/mnt").type == CGROUP2_SUPER_MAGIC
        path = f"/mnt/libct-test-{os.getpid()}"
        os.mkdir(path)
        try:
            body(path)
        finally:
            os.rmdir(path)

    in_namespaces(CLONE_NEWNS, inside)


def _clone_into(path: str) -> None:
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
    pid, _ = namespaces.clone3(0, signal.SIGCHLD, fd)
    if pid == 0:
        signal.pause()
    try:
        with open(f"{path}/cgroup.procs") as file:
            assert file.read().split() == [str(pid)]
    finally:
        os.kill(pid, signal.SIGKILL)
        wait(pid)
    file_fd = os.open("/mnt/cgroup.procs", os.O_RDONLY)
    with pytest.raises(OSError, match=rf"CLONE_INTO_CGROUP, exit_signal=17, cgroup={file_fd}\}}"):
        namespaces.clone3(0, signal.SIGCHLD, file_fd)


@requires("root")
def test_setns_joins_by_file_and_by_pidfd() -> None:
    def body() -> None:
        pid, pidfd = namespaces.clone3(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_PIDFD, signal.SIGCHLD)
        if pid == 0:
            signal.pause()

        def same(kind: str) -> bool:
            return os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")

        try:
            fd = os.open(f"/proc/{pid}/ns/uts", os.O_RDONLY)
            with pytest.raises(OSError, match=rf"setns\({fd}, CLONE_NEWNET\): Invalid argument"):
                namespaces.setns(fd, CLONE_NEWNET)
            namespaces.setns(fd, CLONE_NEWUTS)
            assert (same("uts"), same("ipc")) == (True, False)
            namespaces.setns(pidfd, CLONE_NEWUTS | CLONE_NEWIPC)
            assert (same("uts"), same("ipc")) == (True, True)
            namespaces.unshare(CLONE_NEWUTS)
            assert (same("uts"), same("ipc")) == (False, True)
        finally:
            os.kill(pid, signal.SIGKILL)
            wait(pid)

    forked(body)


@requires("userns")
def test_names_are_set() -> None:
    def body() -> None:
        uts.sethostname("host.example")
        uts.setdomainname(b"domain")
        assert os.uname().nodename == "host.example"
        with open("/proc/sys/kernel/domainname") as file:
            assert file.read() == "domain\n"

    in_namespaces(CLONE_NEWUSER | CLONE_NEWUTS, body)


# -- mounts.py


@requires("userns")
def test_mount_remount_and_umount() -> None:
    def body() -> None:
        mounts.mount("name", "/mnt", "tmpfs", 0, "size=64k,mode=0700")
        assert filesystems.statfs("/mnt").type == TMPFS_MAGIC
        assert filesystems.statfs("/mnt").blocks * filesystems.statfs("/mnt").bsize == 65536
        os.mkdir("/mnt/a")
        mounts.mount("/mnt", "/mnt/a", None, MS_BIND)
        mounts.mount(None, "/mnt/a", None, MS_REMOUNT | MS_BIND | MS_RDONLY)
        with pytest.raises(OSError, match="Read-only file system"):
            os.mkdir("/mnt/a/b")
        os.mkdir("/mnt/b")
        with pytest.raises(OSError, match=rf'umount2\("/mnt", 0\): {os.strerror(errno.EBUSY)}'):
            mounts.umount2("/mnt")
        mounts.umount2("/mnt/a", UMOUNT_NOFOLLOW)
        with pytest.raises(OSError, match=r'umount2\("/mnt/a", UMOUNT_NOFOLLOW\): Invalid'):
            mounts.umount2("/mnt/a", UMOUNT_NOFOLLOW)
        with pytest.raises(OSError, match=r'mount\("n", "/mnt/b", "tmpfs", 0, "size=x"\): Inv'):
            mounts.mount("n", "/mnt/b", "tmpfs", 0, "size=x")
        mounts.umount2("/mnt", MNT_DETACH)
        assert not os.path.exists("/mnt/b")

    in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, body)


def _new_tmpfs(attrs: int = 0, **options: str) -> int:
    fs = filesystems.fsopen("tmpfs")
    assert not os.get_inheritable(fs)
    for key, value in options.items():
        filesystems.fsconfig_set_string(fs, key, value)
    filesystems.fsconfig_create(fs)
    tree = filesystems.fsmount(fs, attrs)
    os.close(fs)
    return tree


@requires("userns")
def test_a_file_system_is_configured_mounted_and_moved_by_descriptors() -> None:
    def body() -> None:
        tree = _new_tmpfs(MOUNT_ATTR_NOEXEC, size="64k", mode="0711", source="name")
        assert not os.get_inheritable(tree)
        os.mkdir("inside", dir_fd=tree)
        place = os.open("/mnt", os.O_PATH)
        empty = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
        mounts.move_mount(tree, "", place, "", empty)
        assert os.listdir("/mnt") == ["inside"]
        assert os.stat("/mnt").st_mode & 0o7777 == 0o711
        assert filesystems.statfs("/mnt").flags & ST_NOEXEC
        with pytest.raises(OSError, match=rf'move_mount\({tree}, "", AT_FDCWD, "/mnt/inside", MOV'):
            mounts.move_mount(tree, "", AT_FDCWD, "/mnt/inside", MOVE_MOUNT_F_EMPTY_PATH)

        fs = filesystems.fspick(tree, "", FSPICK_EMPTY_PATH)
        filesystems.fsconfig_set_flag(fs, "ro")
        filesystems.fsconfig_reconfigure(fs)
        with pytest.raises(OSError, match="Read-only file system"):
            os.mkdir("/mnt/more")

    in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, body)


@requires("userns")
def test_errors_of_a_context_carry_the_kernels_messages() -> None:
    def body() -> None:
        fs = filesystems.fsopen("tmpfs")
        text = (
            r'fsconfig\(\d+, FSCONFIG_SET_STRING, "size", "many", 0\): Invalid argument \(tmpfs: '
        )
        with pytest.raises(OSError, match=text):
            filesystems.fsconfig_set_string(fs, "size", "many")
        with pytest.raises(OSError, match=r"\(tmpfs: Unknown parameter 'none'\)"):
            filesystems.fsconfig_set_flag(fs, "none")
        assert filesystems.fs_messages(fs) == []
        with open("/dev/zero", "rb") as endless:
            assert len(filesystems.fs_messages(endless.fileno())) == 8
        with pytest.raises(OSError, match=r"fsmount\(\d+, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV\): "):
            filesystems.fsmount(fs, MOUNT_ATTR_NODEV)

    in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, body)


@requires("root", "overlay")
def test_an_option_may_be_a_descriptor() -> None:
    def body() -> None:
        fs = filesystems.fsopen("overlay")
        fd = os.open("/", os.O_PATH)
        # Which options take one differs between kernels: that it arrives is enough.
        text = rf'fsconfig\({fs}, FSCONFIG_SET_FD, "none", NULL, {fd}\): .*overlay: Unknown'
        with pytest.raises(OSError, match=text):
            filesystems.fsconfig_set_fd(fs, "none", fd)

    in_namespaces(CLONE_NEWNS, body)


@requires("userns")
def test_a_tree_is_copied_and_its_attributes_are_set() -> None:
    def body() -> None:
        mounts.mount("tmpfs", "/mnt", "tmpfs")
        os.mkdir("/mnt/below")
        mounts.mount("tmpfs", "/mnt/below", "tmpfs")
        one = mounts.open_tree(AT_FDCWD, "/mnt", OPEN_TREE_CLONE)
        both = mounts.open_tree(AT_FDCWD, "/mnt", OPEN_TREE_CLONE | AT_RECURSIVE)
        assert not any(map(os.get_inheritable, (one, both)))
        flags = AT_EMPTY_PATH | AT_RECURSIVE
        on = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME
        mounts.mount_setattr("", dirfd=both, flags=flags, attr_set=on, attr_clr=MOUNT_ATTR__ATIME)
        for tree, path, expected in (
            (one, "below", 0),
            (both, ".", ST_RDONLY | ST_NOATIME),
            (both, "below", ST_RDONLY | ST_NOATIME),
        ):
            fd = os.open(path, os.O_PATH, dir_fd=tree)
            assert filesystems.fstatfs(fd).flags & (ST_RDONLY | ST_NOATIME) == expected
            os.close(fd)
        mounts.mount_setattr("", dirfd=one, flags=AT_EMPTY_PATH, attr_set=MOUNT_ATTR_NODEV)
        assert filesystems.fstatfs(one).flags & ST_NODEV
        mounts.mount_setattr("/mnt", propagation=MS_SHARED)
        assert "shared:" in _mountinfo("/mnt")
        mounts.mount_setattr("/mnt", propagation=MS_PRIVATE)
        assert "shared:" not in _mountinfo("/mnt")
        text = (
            r'mount_setattr\(AT_FDCWD, "/mnt", AT_RECURSIVE, \{attr_set=MOUNT_ATTR_RDONLY, '
            r"attr_clr=MOUNT_ATTR__ATIME\|0x8000, propagation=MS_SHARED, userns_fd=0\}\): Inv"
        )
        with pytest.raises(OSError, match=text):
            mounts.mount_setattr(
                "/mnt",
                flags=AT_RECURSIVE,
                attr_set=MOUNT_ATTR_RDONLY,
                attr_clr=MOUNT_ATTR__ATIME | 0x8000,
                propagation=MS_SHARED,
            )

    in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, body)


def _mountinfo(path: str) -> str:
    with open("/proc/self/mountinfo") as file:
        return [line for line in file if line.split()[4] == path][-1]


@requires("root", "userns", "idmapped_tmpfs")
def test_a_mount_is_id_mapped() -> None:
    def body() -> None:
        pid, _ = namespaces.clone3(CLONE_NEWUSER, signal.SIGCHLD)
        if pid == 0:
            signal.pause()
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{pid}/{name}", "w") as file:
                file.write("0 1000 10")
        userns = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        os.kill(pid, signal.SIGKILL)
        wait(pid)
        tree = _new_tmpfs()
        mounts.mount_setattr(
            "", dirfd=tree, flags=AT_EMPTY_PATH, attr_set=MOUNT_ATTR_IDMAP, userns_fd=userns
        )
        found = os.stat(".", dir_fd=tree)
        assert (found.st_uid, found.st_gid) == (1000, 1000)

    in_namespaces(CLONE_NEWNS, body)


@requires("userns")
def test_pivot_root_exchanges_the_root() -> None:
    def body() -> list[str]:
        mounts.mount("tmpfs", "/mnt", "tmpfs")
        os.mkdir("/mnt/alone")
        with pytest.raises(OSError, match=r'pivot_root\("/mnt/alone", "/mnt/alone"\): Invalid'):
            mounts.pivot_root("/mnt/alone", "/mnt/alone")
        os.chdir("/mnt")
        mounts.pivot_root(".", ".")
        mounts.mount(None, ".", None, MS_REC | MS_PRIVATE)
        mounts.umount2(".", MNT_DETACH)
        return os.listdir("/")

    assert in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, body) == ["alone"]


# -- credentials.py, process.py


@requires("root")
def test_ids_are_set_for_one_thread() -> None:
    def body() -> None:
        credentials.setgroups([7, 8])
        credentials.setresgid(10, 11, 12)
        credentials.setresgid(-1, -1, 13)
        credentials.setresuid(-1, 21, -1)
        assert os.getresgid() == (10, 11, 13)
        assert os.getresuid() == (0, 21, 0)
        assert sorted(os.getgroups()) == [7, 8]
        credentials.setresuid(-1, 0, -1)  # and with it come the capabilities
        credentials.setresuid(20, 21, 22)
        with pytest.raises(PermissionError, match=r"setresuid\(0, 0, 0\): Operation not permitted"):
            credentials.setresuid(0, 0, 0)
        with pytest.raises(PermissionError, match=r"setresgid\(0, -1, -1\): Operation not perm"):
            credentials.setresgid(0, -1, -1)
        with pytest.raises(PermissionError, match=r"setgroups\(1, \[0\]\): Operation not perm"):
            credentials.setgroups([0])

    forked(body)


@requires("root")
def test_capabilities_survive_a_change_of_user() -> None:
    def body() -> None:
        mask = 1 << CAP_KILL
        process.set_keepcaps(True)
        credentials.setresuid(1000, 1000, 1000)
        assert credentials.capget()[0] == 0
        credentials.capset(mask, mask, mask)
        assert credentials.capget() == (mask, mask, mask)
        assert not prctl.cap_ambient_is_set(CAP_KILL)
        process.cap_ambient_raise(CAP_KILL)
        assert prctl.cap_ambient_is_set(CAP_KILL)
        process.cap_ambient_clear_all()
        assert not prctl.cap_ambient_is_set(CAP_KILL)
        text = r"prctl\(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN\): Operation not perm"
        with pytest.raises(PermissionError, match=text):
            process.cap_ambient_raise(CAPABILITIES["CAP_SYS_ADMIN"])
        text = r"prctl\(PR_CAPBSET_DROP, CAP_KILL\): Operation not permitted"
        with pytest.raises(PermissionError, match=text):
            process.capbset_drop(CAP_KILL)

    forked(body)


@requires("root")
def test_high_capabilities_are_in_their_places() -> None:
    def body() -> None:
        mask = 1 << CAPABILITIES["CAP_AUDIT_READ"]
        process.capbset_drop(CAPABILITIES["CAP_AUDIT_READ"])
        assert not process.capbset_read(CAPABILITIES["CAP_AUDIT_READ"])
        credentials.capset(mask, mask | 1, 0)
        assert credentials.capget() == (mask, mask | 1, 0)
        assert credentials.capget(os.getpid()) == (mask, mask | 1, 0)
        with open("/proc/self/status") as file:
            assert f"CapEff:\t{mask:016x}\n" in file.read()

    forked(body)


@requires("root")
def test_securebits_take_the_power_from_user_0() -> None:
    def body() -> None:
        prctl.set_securebits(SECBIT_NOROOT)
        assert settings.get_securebits() == SECBIT_NOROOT
        credentials.capset(0, 0, 0)
        with pytest.raises(PermissionError, match=r"prctl\(28\)"):
            prctl.set_securebits(0)

    forked(body)


@requires("root")
def test_a_hard_limit_of_another_process_is_raised() -> None:
    def body() -> None:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(reader, 1)
            os._exit(0)
        assert process.prlimit(pid, 10, 1 << 40, 1 << 41) == process.prlimit(0, 10)
        assert process.prlimit(pid, 10) == (1 << 40, 1 << 41)
        os.write(writer, b".")
        assert wait(pid) == 0

    forked(body)


# -- scheduling.py, keys.py


@requires("root")
def test_privileged_priorities() -> None:
    def body() -> None:
        value = IOPRIO_CLASS_RT << IOPRIO_CLASS_SHIFT | 3
        scheduling.ioprio_set(IOPRIO_WHO_PROCESS, 0, value)
        assert scheduling.ioprio_get(IOPRIO_WHO_PROCESS, 0) == value
        try:
            scheduling.sched_setattr(SCHED_FIFO, priority=1)
        except PermissionError:
            return  # a v1 cpu cgroup without a real-time budget
        attr = scheduling.sched_getattr()
        assert (attr.policy, attr.priority) == (SCHED_FIFO, 1)

    forked(body)


def test_session_keyrings() -> None:
    def body() -> None:
        try:
            key = keys.keyctl_join_session_keyring("_ses.test")
        except OSError as error:
            if error.errno == errno.ENOSYS:
                pytest.skip("this machine lacks: keys")
            raise
        kind, uid, _, rights, name = keys.keyctl_describe(key).split(";", 4)
        assert (kind, int(uid), name) == ("keyring", os.getuid(), "_ses.test")
        assert keys.keyctl_describe(keys.KEY_SPEC_SESSION_KEYRING).endswith(";_ses.test")
        wanted = int(rights, 16) | keys.KEY_USR_SEARCH | keys.KEY_OTH_SEARCH
        keys.keyctl_setperm(key, wanted)
        assert int(keys.keyctl_describe(key).split(";")[3], 16) == wanted
        assert keys.keyctl_join_session_keyring() != key
        long = "x" * 400
        assert keys.keyctl_describe(keys.keyctl_join_session_keyring(long)).endswith(long)
        with pytest.raises(OSError, match=r'keyctl\(KEYCTL_JOIN_SESSION_KEYRING, "\.a"\): Oper'):
            keys.keyctl_join_session_keyring(".a")

    forked(body)


# -- bpf.py


def _program(answer: int) -> int:
    """A program for devices that always gives this answer, 1 to allow."""
    code = bpf.instruction(bpf.BPF_ALU64 | bpf.BPF_MOV | bpf.BPF_K, immediate=answer)
    return bpf.prog_load(code + bpf.instruction(bpf.BPF_JMP | bpf.BPF_EXIT), name="libct_test")


@requires("root", "cgroup2")
def test_a_device_program_of_a_cgroup_is_obeyed_and_replaced() -> None:
    in_cgroup2(_programs)


def _programs(path: str) -> None:
    cgroup = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    deny, allow = _program(0), _program(1)
    assert not os.get_inheritable(deny)
    assert _opens_null(cgroup)
    bpf.prog_attach(cgroup, deny, flags=bpf.BPF_F_ALLOW_MULTI)
    assert not _opens_null(cgroup)
    flags, ids = bpf.prog_query(cgroup)
    assert (flags, len(ids)) == (bpf.BPF_F_ALLOW_MULTI, 1)
    bpf.prog_attach(cgroup, allow, flags=bpf.BPF_F_ALLOW_MULTI, replace=deny)
    assert _opens_null(cgroup)
    os.close(allow)  # attached, it stays
    flags, ids = bpf.prog_query(cgroup)
    assert set(ids) <= set(bpf.prog_query(cgroup, flags=bpf.BPF_F_QUERY_EFFECTIVE)[1])
    again = bpf.prog_get_fd_by_id(ids[0])
    bpf.prog_detach(cgroup, again)
    assert bpf.prog_query(cgroup)[1] == []
    with pytest.raises(FileNotFoundError, match=r"bpf\(BPF_PROG_DETACH, \{target_fd=\d+"):
        bpf.prog_detach(cgroup, again)
    with pytest.raises(FileNotFoundError, match=r"bpf\(BPF_PROG_GET_FD_BY_ID, \{prog_id="):
        bpf.prog_get_fd_by_id(0x7FFFFFFF)


def _opens_null(cgroup: int) -> bool:
    """Whether a process in the cgroup can open /dev/null."""
    pid, _ = namespaces.clone3(0, signal.SIGCHLD, cgroup)
    if pid == 0:
        in_child(lambda: os.open("/dev/null", os.O_RDONLY))
    return wait(pid) == 0


@requires("root", "cgroup2")
def test_more_programs_than_expected_are_listed() -> None:
    def body(path: str) -> None:
        cgroup = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        programs = [_program(1) for _ in range(64)]  # as many as one cgroup takes
        for program in programs:
            bpf.prog_attach(cgroup, program, flags=bpf.BPF_F_ALLOW_MULTI)
        assert len(bpf.prog_query(cgroup)[1]) == 64
        os.mkdir(f"{path}/below")
        below = os.open(f"{path}/below", os.O_RDONLY | os.O_DIRECTORY)
        bpf.prog_attach(below, programs[0], flags=bpf.BPF_F_ALLOW_MULTI)
        assert len(bpf.prog_query(below, flags=bpf.BPF_F_QUERY_EFFECTIVE)[1]) == 65
        os.rmdir(f"{path}/below")

    in_cgroup2(body)


@requires("root", "cgroup2")
def test_the_verifiers_reason_is_told() -> None:
    def body() -> None:
        with pytest.raises(OSError, match=r"bpf\(BPF_PROG_LOAD, .*insn_cnt=1\}\): .*R0 !read_ok"):
            bpf.prog_load(bpf.instruction(bpf.BPF_JMP | bpf.BPF_EXIT))

    forked(body)

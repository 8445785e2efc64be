"""The sandbox under libct's own profile: real programs run, and what is left out fails."""

from __future__ import annotations

import json
import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct.config.seccomp import Seccomp
from libct.errors import ConfigError
from libct.sandbox.config import sandbox
from libct.seccomp.architectures import named
from libct.seccomp.default import default_profile
from libct.seccomp.default_calls import LEFT_OUT

from ..commands import libct as libct_command
from ..needs import requires
from ..seccomp import PODMAN
from .rootfs_box import run_prepared
from .test_seccomp import UNFILTERED

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = requires("root", "overlay")

PYTHON = "/usr/bin/python3"
X86_64, X86 = named("X86_64"), named("X86")
on_x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="this machine lacks: x86_64")

# A list of calls, each a list of a number and arguments, as JSON; their error numbers come back.
MAKE_CALLS = """
import ctypes, json, sys
syscall = ctypes.CDLL(None, use_errno=True).syscall
syscall.restype = ctypes.c_long
def made(number, *arguments):
    padded = [ctypes.c_ulong(one) for one in (*arguments, *(0,) * (6 - len(arguments)))]
    return ctypes.get_errno() if syscall(ctypes.c_long(number), *padded) == -1 else 0
print(json.dumps([made(*call) for call in json.loads(sys.argv[1])]))
"""


def inside(*command: str, **options: Any) -> str:
    run = run_prepared(*sandbox(command, **options))
    assert run.status == 0, run
    return run.text


def answers(calls: Sequence[Sequence[int]], **options: Any) -> list[int]:
    found = json.loads(inside(PYTHON, "-I", "-c", MAKE_CALLS, json.dumps(calls), **options))
    assert len(found) == len(calls)
    return found  # type: ignore[no-any-return]


WORKS = """
import asyncio, ctypes, multiprocessing, os, pty, select, signal, socket, subprocess, tempfile
import threading, time, mmap, fcntl, resource, termios, struct
found = []
threads = [threading.Thread(target=found.append, args=(n,)) for n in range(20)]
[one.start() for one in threads]; [one.join() for one in threads]
assert sorted(found) == list(range(20))
assert subprocess.run("echo a | tr a b", shell=True, capture_output=True).stdout == b"b\\n"
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(abs, [-1, -2]) == [1, 2]
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
accepted, _ = server.accept(); client.sendall(b"x"); assert accepted.recv(1) == b"x"
left, right = socket.socketpair(); left.send(b"y"); assert right.recv(1) == b"y"
assert "lo" in [name for _, name in socket.if_nameindex()]
assert socket.getaddrinfo("127.0.0.1", 80)
async def slept(): await asyncio.sleep(0.01); return 5
assert asyncio.run(slept()) == 5
with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "file"); open(path, "w").close()
    os.chmod(path, 0o600); os.chown(path, 0, 0); os.rename(path, path + "2"); os.utime(path + "2")
    os.mkfifo(path); os.symlink("x", path + "3"); os.listdir(directory)
signal.signal(signal.SIGALRM, lambda *_: found.append("alarm")); signal.setitimer(0, 0.01)
signal.pause(); assert found[-1] == "alarm"
parent, child = pty.openpty(); fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("4H", 1, 2, 3, 4))
os.memfd_create("x"); os.eventfd(0) if hasattr(os, "eventfd") else 0; select.epoll().close()
resource.getrlimit(resource.RLIMIT_NOFILE); os.sched_getaffinity(0); os.getrandom(4)
os.setresuid(1000, 1000, 1000); assert os.getuid() == 1000
print("done")
"""


@pytest.mark.parametrize(
    "command",
    [
        ("sh", "-c", "for i in 1 2 3; do echo $i; done | sort -r | head -n 1; test $(id -u) = 0"),
        (PYTHON, "-c", WORKS),
        ("apt-get", "--version"),
        ("dpkg", "-l"),
        ("sh", "-c", "cd /tmp && tar cf x.tar /etc/hostname 2>&1 && tar xvf x.tar"),
        (
            "sh",
            "-c",
            "find /usr/share/doc | xargs -P 2 -n 500 ls -ld | sha256sum; df; ps; ls -l /proc",
        ),
        (
            *("sh", "-c"),
            "cd /tmp; printf 'main() { puts(\"made\"); }' >x.c; gcc -w -pthread x.c -o x 2>&1; ./x",
        ),
        ("strace", "-f", "-o", "/dev/null", "sh", "-c", "echo traced; true"),
        ("git", "--version"),
        ("perl", "-e", 'print "perl\\n"; system("true") == 0 or die'),
    ],
    ids=lambda command: command[-1][:12] if command[0] == "sh" else command[0].split("/")[-1],
)
def test_programs_run(command: tuple[str, ...]) -> None:
    needed = "gcc" if "gcc" in command[-1] else command[0]
    if shutil.which(needed) is None:
        pytest.skip(f"this machine lacks: {needed}")
    if command[-1].startswith("cd /tmp; printf"):  # /tmp of a sandbox is not noexec
        assert inside(*command) == "made\n"
    else:
        assert inside(*command) != ""


def test_programs_of_an_ordinary_user_run() -> None:
    script = WORKS.replace("os.setresuid(1000, 1000, 1000); assert os.getuid() == 1000", "")
    script = script.replace("os.chown(path, 0, 0)", "os.chown(path, -1, -1)")
    done = libct_command("sandbox", "--", PYTHON, "-c", script, user=True)
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)
    done = libct_command("sandbox", "--", "unshare", "-Ur", "true", user=True)
    assert "Operation not permitted" in done.stderr
    assert "\\nSeccomp:\\t2\\n" in repr(inside("cat", "/proc/self/status"))


# Without a meaning, so that the kernel itself would say something else: to root, whose right
# to make the call is not what is missing.
_NONSENSE = [(1 << 64) - 1] * 6


@on_x86_64
@pytest.mark.parametrize(
    "group",
    [group for group in LEFT_OUT if not X86_64.numbers().keys().isdisjoint(group.names)],
    ids=lambda group: group.names[0],
)
def test_what_is_left_out_fails_inside(group: Any) -> None:
    numbers = X86_64.numbers()
    names = [name for name in group.names if name in numbers]
    calls = [[numbers[name], *_NONSENSE] for name in names]
    # All rights, under the profile for none.
    options = {"seccomp": default_profile(X86_64), "keep_caps": True}
    found = answers(calls, **options)
    assert dict(zip(names, found)) == dict.fromkeys(names, group.answer)


@on_x86_64
def test_without_the_profile_it_is_the_kernel_that_answers() -> None:
    names = ["mount", "unshare", "setns", "bpf", "perf_event_open", "keyctl", "add_key", "kcmp"]
    calls = [[X86_64.numbers()[name], *_NONSENSE] for name in names]
    assert not {1, 38} & set(answers(calls, seccomp="unconfined", keep_caps=True))
    assert not {1, 38} & set(answers(calls[:4], keep_caps=True))  # these come with the right


HIGH = 0xABCD << 32


@on_x86_64
def test_arguments_decide_inside() -> None:
    clone, socket, ioctl, personality = (
        X86_64.numbers()[name] for name in ("clone", "socket", "ioctl", "personality")
    )
    cases = {
        (clone, 0x10000000 | 17): 1,  # CLONE_NEWUSER
        (clone, HIGH | 0x20000000 | 17): 1,  # CLONE_NEWPID
        (socket, 38, 5, 0): 97,  # AF_ALG
        (socket, HIGH | 38, 5, 0): 97,
        (socket, HIGH | 40, 1, 0): 97,  # AF_VSOCK
        (socket, HIGH | 1, 1, 0): 0,
        # Of a descriptor that is not open: the kernel would say EBADF.
        (ioctl, 1 << 31, 0x5412): 5,  # TIOCSTI
        (ioctl, 1 << 31, HIGH | 0x5412): 5,
        (ioctl, 1 << 31, HIGH | 0x541C): 5,  # TIOCLINUX
        (ioctl, 1 << 31, 0x5413): 9,
        (personality, HIGH | 0xFFFFFFFF): 0,
        (personality, 0x0040000): 1,  # ADDR_NO_RANDOMIZE
        (1023, 0): 38,
    }
    found = answers([list(call) for call in cases], keep_caps=False)
    assert dict(zip(cases, found)) == cases


BY_INTERRUPT = """
import ctypes, mmap, sys
# As a 32-bit program: push rbx; mov eax, edi; mov ebx, esi; xor ecx, ecx; int 0x80; pop rbx; ret
code = bytes.fromhex("53 89f8 89f3 31c9 cd80 5b c3")
memory = mmap.mmap(-1, 4096, prot=7)
memory.write(code)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_uint)(address)
print([function(int(one), 1) for one in sys.argv[1:]])
"""


@on_x86_64
def test_a_32_bit_program_has_no_way_around_it() -> None:
    names = ("getpid", "socketcall", "unshare", "mount", "keyctl")
    numbers = [str(X86.numbers()[name]) for name in names]
    pid, *others = json.loads(inside(PYTHON, "-I", "-c", BY_INTERRUPT, *numbers))
    assert pid > 0
    assert others == [-38, -1, -1, -1]


def test_a_file_is_a_profile(tmp_path: Path) -> None:
    rule: dict[str, Any] = {
        "names": ["mkdir", "mkdirat"],
        "action": "SCMP_ACT_ERRNO",
        "errno": "EXDEV",
    }
    rule["excludes"] = {"caps": ["CAP_SYS_ADMIN"]}
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    command = ("sandbox", "--seccomp", str(path))
    done = libct_command(*command, "--", "mkdir", "/tmp/x")
    assert "nvalid cross-device link" in done.stderr
    libct_command(*command, "--keep-caps", "--", "mkdir", "/tmp/x", check=True)
    path.write_text(json.dumps({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_X"}}}))
    done = libct_command(*command, "--", "true")
    assert "unknown action: 'SCMP_ACT_X'" in done.stderr
    path.write_text(json.dumps({"ociVersion": "1.2.0"}))
    done = libct_command(*command, "--", "true")
    assert done.stderr == f"libct: --seccomp: '{path}' has no linux.seccomp\n"
    done = libct_command("sandbox", "--seccomp", "/nowhere", "--", "true")
    assert done.stderr == "libct: --seccomp: /nowhere: no such file or directory\n"


@requires("podman_profile")
def test_podman_s_profile_is_one() -> None:
    assert "Seccomp:\t2\n" in inside("cat", "/proc/self/status", seccomp=str(PODMAN))


def test_a_record_and_nothing_are_profiles_too() -> None:
    assert "Seccomp:\t0\n" in inside("cat", "/proc/self/status", seccomp="unconfined")
    config, _ = sandbox(["true"], seccomp=Seccomp("SCMP_ACT_ALLOW"))
    assert config.seccomp == Seccomp("SCMP_ACT_ALLOW")


def test_a_machine_without_a_table_needs_to_go_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libct.seccomp.architectures.machine", lambda: "alpha")
    with pytest.raises(ConfigError, match=r"for alpha .--seccomp unconfined does without"):
        sandbox(["true"])
    assert sandbox(["true"], seccomp="unconfined")[0].seccomp is None


def test_what_the_kernel_lets_pass_is_not_left_out() -> None:
    left_out = {name for group in LEFT_OUT for name in group.names}
    assert not {name for name, n in X86_64.numbers().items() if n in UNFILTERED} & left_out

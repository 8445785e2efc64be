"""What all levels need: a host to attack, a container on it, and the report.

    python3 docs/levels/03-chroot.py             the container and the attacks
    python3 docs/levels/03-chroot.py shell       a shell in the container
    python3 docs/levels/03-chroot.py exercise    check what you have written

Nothing here touches your machine.  The "host" of a lesson is a process in namespaces of its
own: it has its own processes, mounts, host name and temporary files, and all of them go when
it ends.  Only level 8 needs something from outside, a control group, and removes it again.

A level is a module with these names:

    NAMESPACES   what clone3(2) is given
    enter(host)  what the container's first process does before its command
    outside(host, pid)   what the host does meanwhile (optional)
    attack(host)         run in the container: returns what it got, or raises
    proof(host)          run on the host: raises if the attack has had no effect (optional)
    exercise(host)       yours to write; host.exercise() in the level says where it is called
    check(host)          run in the container: raises if the exercise is not solved
    check_on_host(host)  the same, run on the host
    the_same(host)       run on the host after all that (optional)
    ROOT_FOR             which of "container", "attack", "exercise" need real root
"""

import importlib.util
import os
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))  # this checkout's libct

from libct.cgroups import choose, files  # noqa: E402
from libct.cgroups.layout import detect  # noqa: E402
from libct.config.cgroup import Cgroup  # noqa: E402
from libct.syscalls.constants import (  # noqa: E402
    AT_RECURSIVE,
    MOUNT_ATTR_RDONLY,
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    MS_SHARED,
)
from libct.syscalls.keys import keyctl_join_session_keyring  # noqa: E402
from libct.syscalls.mounts import mount, mount_setattr  # noqa: E402
from libct.syscalls.namespaces import (  # noqa: E402
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    clone3,
)
from libct.syscalls.process import set_name, set_pdeathsig  # noqa: E402
from libct.syscalls.userns import in_user_namespace  # noqa: E402
from libct.syscalls.uts import sethostname  # noqa: E402

DONE, REFUSED, BROKEN = 0, 1, 2  # how a container ends; BROKEN: enter() has failed


class Host:
    """What a lesson calls the host.

    name: of this run; unique on the machine.  root: whether root here is real root.
    rootfs: the container's files.  secret: a file of the host that is not among them.
    data: a directory that the host shares with the container, which has it as /data.
    listener: a socket of a service of the host, with the abstract name `name`.
    leak: a directory of the host that the runtime has forgotten to close.
    exercise: the exercise that is being checked, or nothing.
    """

    def __init__(self, place: Path, root: bool) -> None:
        self.name, self.root = place.name, root
        self.rootfs, self.data = f"{place}/rootfs", f"{place}/data"
        self.secret = f"{place}/secret"
        self.listener = None
        self.leak = -1
        self.exercise = lambda *args: None


def level(number):
    """The module of a level."""
    (path,) = HERE.glob(f"{number:02}-*.py")
    spec = importlib.util.spec_from_file_location(f"level{number:02}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(file):
    number = int(Path(file).name[:2])
    what = sys.argv[1] if len(sys.argv) > 1 else "show"
    if what not in ("show", "exercise", "shell"):
        sys.exit(f"usage: python3 {file} [exercise | shell]")
    this = level(number)
    if not _is_root() and "container" in this.ROOT_FOR:
        sys.exit(f"Level {number} needs root.  {WITHOUT_ROOT}")
    lesson = {"show": show, "exercise": check, "shell": shell}[what]
    sys.exit(_on_a_host(lambda host: lesson(number, host)))


WITHOUT_ROOT = "An ordinary user can run levels 1 to 7; docs/levels/README.md says what of them."


def show(number, host):
    """The container, the previous level's attack, which fails, and this level's, which works."""
    this = level(number)
    print(f"Level {number}: {_first_line(this).partition(': ')[2]}\n")
    print("What the container sees:")
    good = _start(this, host, lambda host: look()) == DONE
    if number > 1:
        before = level(number - 1)
        print(f"\nThe attack of level {number - 1}: {_first_line(before.attack)}")
        if _may(before, "attack", host):
            stopped = not _attacked(this, before, host)
            print("  -> stopped" if stopped else "  -> it WORKS, and should not")
            good = good and stopped
    print(f"\nThe attack of level {number}: {_first_line(this.attack)}")
    if _may(this, "attack", host):
        works = _attacked(this, this, host)
        print("  -> it works" if works else "  -> it does not work here, and should")
        good = good and works
    if hasattr(this, "the_same"):
        print(f"\n{_first_line(this.the_same)}")
        this.the_same(host)
    print()
    if number < 10:
        print(f"Next: level {number + 1} stops it.")
    print(f"Exercise: {_first_line(this.exercise)}")
    print(f"  Write exercise() in {Path(this.__file__).name}, and have it checked: add `exercise`")
    print("  to the command.  With `shell` you look around in this container yourself.")
    return 0 if good else 1


def check(number, host):
    """Whether the exercise is solved."""
    this = level(number)
    if not _may(this, "exercise", host):
        return 1
    host.exercise = this.exercise
    if hasattr(this, "check_on_host"):
        solved = _checked(this, host)
    else:
        solved = _start(this, host, this.check) == DONE
    print("Solved." if solved else "Not solved yet.")
    return 0 if solved else 1


def _checked(this, host):
    try:
        this.check_on_host(host)
    except AssertionError as error:
        print(f"  {error}")
        return False
    return True


def shell(number, host):
    def run_shell(host):
        os.execve("/bin/sh", ["sh"], {"PATH": "/usr/bin:/bin", "PS1": f"level-{number}# "})

    return _start(level(number), host, run_shell)


def look():
    """A few lines on the process that calls this, and what it finds around it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    processes = [name for name in os.listdir("/proc") if name.isdigit()]
    print(f"  host name     {os.uname().nodename}")
    print(f"  processes     {len(processes)}, and this is number {os.getpid()}")
    print(f"  files in /    {' '.join(sorted(os.listdir('/')))}")
    print(f"  descriptors   {len(os.listdir('/proc/self/fd')) - 1}")  # one is the listing's own
    print(f"  capabilities  {bin(int(status['CapEff'], 16)).count('1')}")
    print(f"  filter        {'yes' if status['Seccomp'].strip() == '2' else 'no'}")
    print(f"  user ids      {Path('/proc/self/uid_map').read_text().split()}")


def _attacked(container, attacker, host):
    """Whether the attack of one level works in the container of another."""
    if _start(container, host, lambda host: print(f"  got: {attacker.attack(host)}")) != DONE:
        return False
    if not hasattr(attacker, "proof"):
        return True
    try:
        print(f"  the host: {attacker.proof(host)}")
    except AssertionError as error:
        print(f"  the host: {error}")
        return False
    return True


def _start(this, host, command):
    """Make a container of a level, and have its first process call command(host)."""
    victim = _start_victim()
    host.leak = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    ready, go = os.pipe()
    sys.stdout.flush()
    pid, _ = clone3(this.NAMESPACES, signal.SIGCHLD)
    if pid == 0:
        os.close(go)
        os.read(ready, 1)  # until outside() is done
        os.close(ready)
        _end(lambda: _enter_and_run(this, host, command))
    try:
        if hasattr(this, "outside"):
            this.outside(host, pid)
        os.close(ready)
        os.close(go)
        status = os.waitpid(pid, 0)[1]
    finally:
        os.close(host.leak)
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        if hasattr(this, "afterwards"):
            this.afterwards(host)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else REFUSED
    if not os.path.exists("/proc/self"):
        sys.exit("a mount has reached the host: its /proc is that of the container")
    if code == BROKEN:
        sys.exit("the container could not be made")
    return code


def _enter_and_run(this, host, command):
    try:
        this.enter(host)
    except Exception as error:
        print(f"enter() of level {this.__name__[-2:]}: {error!r}", flush=True)
        return BROKEN
    try:
        command(host)
    except (OSError, AssertionError) as error:  # any other is a mistake in the level
        print(f"  {type(error).__name__}: {error}")
        return REFUSED
    return DONE


def _start_victim():
    """A process of the host, for level 1: its number."""
    named, name = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        set_name("victim")
        os.close(name)
        _end(signal.pause)
    os.close(name)
    os.read(named, 1)
    os.close(named)
    return pid


def _end(function):
    """End this process, whatever function does, with the status that it returns."""
    status = BROKEN
    try:
        status = function()
        sys.stdout.flush()
    except SystemExit as error:
        print(error, file=sys.stderr, flush=True)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _is_root():
    """Whether we are root of the machine, and not of a user namespace alone."""
    return os.geteuid() == 0 and not in_user_namespace()


def _on_a_host(lesson):
    """Run a lesson on a host of its own, and leave nothing behind; its exit status."""
    place = Path(tempfile.mkdtemp(prefix="libct-levels-", dir="/tmp"))
    root = _is_root()
    ids = os.geteuid(), os.getegid()
    flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC
    try:
        pid, _ = clone3(flags if root else flags | CLONE_NEWUSER, signal.SIGCHLD)
    except OSError as error:
        place.rmdir()
        sys.exit(f"{error}\n{NO_HOST}")
    if pid == 0:
        _end(lambda: _host(place, root, ids, lesson))
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except BaseException:  # Ctrl-C
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        shutil.rmtree(place)
        if root:
            groups = choose.new(Cgroup(path=f"/{place.name}"), place.name, detect())
            files.remove(groups.directories())


NO_HOST = "The lesson cannot make its host.  Try it as root, and not in a container."


def _host(place, root, ids, lesson):
    try:
        host = _make_host(place, root, ids)
    except OSError as error:
        sys.exit(f"{error}\n{NO_HOST}")
    return lesson(host)


def _make_host(place, root, ids):
    set_pdeathsig(signal.SIGKILL)  # when the lesson is interrupted, all of this goes
    if not root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {ids[0]} 1")
        Path("/proc/self/gid_map").write_text(f"0 {ids[1]} 1")
    mount(None, "/", flags=MS_REC | MS_PRIVATE)  # first: no later mount reaches the machine
    mount("proc", "/proc", "proc")
    mount("tmpfs", "/run", "tmpfs", data="mode=755")  # libct's own records
    mount("tmpfs", str(place), "tmpfs", data="mode=755")
    sethostname("host")
    try:
        keyctl_join_session_keyring("host's keys")
    except OSError:
        pass  # a kernel without keys
    host = Host(place, root)
    host.listener = socket.socket(socket.AF_UNIX)
    host.listener.bind(f"\0{host.name}")
    host.listener.listen()
    Path(host.secret).write_text("the host's secret")
    os.mkdir(host.data)
    os.chmod(host.data, 0o1777)
    _make_rootfs(host)
    mount(None, "/", flags=MS_REC | MS_SHARED)  # as systemd has it on a real host
    return host


def _make_rootfs(host):
    """The container's files: the programs of this machine, read-only, and little else."""
    for name in ("dev", "etc", "proc", "tmp", "data"):
        os.makedirs(f"{host.rootfs}/{name}")
    os.chmod(f"{host.rootfs}/tmp", 0o1777)
    for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64"):
        target = f"{host.rootfs}/{name}"
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), target)
        elif os.path.isdir(f"/{name}"):
            os.mkdir(target)
            mount(f"/{name}", target, flags=MS_BIND | MS_REC)
            mount_setattr(target, flags=AT_RECURSIVE, attr_set=MOUNT_ATTR_RDONLY)
    for name in ("null", "zero", "urandom"):
        Path(f"{host.rootfs}/dev/{name}").touch()
        mount(f"/dev/{name}", f"{host.rootfs}/dev/{name}", flags=MS_BIND)
    mount(host.data, f"{host.rootfs}/data", flags=MS_BIND)


def _may(this, what, host):
    """Whether it can be tried; says so if not."""
    if host.root or what not in this.ROOT_FOR:
        return True
    print("  (needs real root: not tried)")
    return False


def _first_line(documented):
    text = documented.__doc__ or f"{documented.__name__}()"
    return text.splitlines()[0].rstrip(".")

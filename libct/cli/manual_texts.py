"""What the man pages say beyond the tables of the commands: nothing but texts; see manual.py.

A command with a text has a page of its own; "" is libct(1).  What stands before the first
heading goes on with the description.  A paragraph that begins with

    "# "          is a heading;
    "* TERM: "    is an entry of a list;
    four spaces   is an example, line by line.  A test runs it or reads it as a command line.

Between backticks are words to type.
"""

from __future__ import annotations

_STATUS = """\
# EXIT STATUS

That of the process, or 128 plus the number of the signal that killed it.
With `--detach` it is 0 once the process has been started.
"""

_SOCKETS = """\
# ENVIRONMENT

* LISTEN_FDS, LISTEN_PID: sockets that a service manager hands over, as in sd_listen_fds(3).
The container gets them too, from descriptor 3 on.
"""

_NOTIFY = """\
* NOTIFY_SOCKET: the socket of a service manager, as in sd_notify(3).
The container gets one of its own, and its READY=1 is passed on.
"""

_BUNDLE = """\
# FILES

* config.json: in the bundle: what the container is, in the form of the OCI runtime-spec.
"""

TEXTS = {
    "": """\
`libct` creates, runs and inspects Linux containers, as an OCI runtime and as a tool of its own.
Its commands and options are those of runc(8).
The ones of libct alone are `plan`, `check`, `sandbox`, `seccomp`, `completion` and `man`, and
the options `--trace` and `--json`.

Options come before or after operands; those that belong to no command come before the command.
A value follows its option as the next word or after an equals sign.

# EXIT STATUS

`run`, `exec` and `sandbox` end with the status of the command that they have run, or with 128
plus the number of the signal that killed it.
If libct itself fails, the status is 1, for `exec` 255 and for `sandbox` 125.
The error is one line on standard error.

# ENVIRONMENT

* XDG_RUNTIME_DIR: names the directory below which an ordinary user's containers have their states.

* LISTEN_FDS, LISTEN_PID: sockets that a service manager hands to `run` and `create`, passed on to
the container.

* NOTIFY_SOCKET: where `run`, `create` and `start` tell a service manager that the container is
ready, once it has said so.

* NO_COLOR: keeps `check` from using colors.

* LIBCT_FORK: if it is 1, each start copies libct's memory until the command is executed, and does
not share it.

# FILES

* /run/libct: the states of root's containers, a directory for each.

* $XDG_RUNTIME_DIR/libct: those of an ordinary user, or /tmp/libct-UID if there is no such variable.

* config.json: in a bundle: what the container is, in the form of the OCI runtime-spec.

# EXAMPLES

Run a command over the host's own files, which it cannot change:

    libct sandbox -- ls -l /

Make a bundle, and run a container of it:

    mkdir -p bundle/rootfs      # and put a root file system there
    libct spec -b bundle
    libct check -b bundle
    libct plan -b bundle
    libct run -b bundle mine

# SEE ALSO

namespaces(7), cgroups(7), capabilities(7), pivot_root(2)

`libct help TOPIC` shows a page of the documentation, or says where it is; `libct --help` lists
them.

The OCI runtime-spec: https://github.com/opencontainers/runtime-spec
""",
    "run": f"""\
ID names the container from now on.
It is removed at the end, unless `--keep` is given.
With `--detach` it runs on, and `libct delete` removes it.

The terminal of the caller is passed through if config.json asks for a terminal.
Signals are passed on to the process.
While the start waits for something, SIGINT, SIGTERM, SIGHUP and SIGQUIT end and undo it instead.

{_STATUS}
If libct itself fails, it is 1.

{_SOCKETS}
{_NOTIFY}
{_BUNDLE}
# EXAMPLES

    libct run -b bundle web
    libct run -b bundle --detach --pid-file web.pid web

See how long each step of the start takes, in a browser:

    libct run -b bundle --trace trace.html web

Learn which system calls the command needs:

    libct run -b bundle --seccomp-learn profile.json web

# SEE ALSO

libct-create(1), libct-exec(1), libct-delete(1), libct-plan(1), libct-spec(1), libct-seccomp(1)
""",
    "create": f"""\
Everything is done but executing the command: namespaces, mounts, control groups and limits are
there.
`libct start` executes it, and `libct delete` removes the container.

{_SOCKETS}
{_NOTIFY}
{_BUNDLE}
# EXAMPLES

    libct create -b bundle web
    libct state web
    libct start web
    libct delete --force web

# SEE ALSO

libct-run(1), libct-exec(1), libct-kill(1), libct-delete(1)
""",
    "exec": f"""\
What no option says is as for the container's first process: the working directory, the
environment, the user, the capabilities.
Options come before ID; what follows ID is the command and its arguments.

With `--process` the file describes the whole process.
The options that describe it too, such as `--cwd` and `--cap`, are refused then.

{_STATUS}
It is 255 if the process cannot be run.

# EXAMPLES

    libct exec web ps -ef
    libct exec -t -e TERM=xterm --cwd /srv web sh
    libct exec --user 1000:1000 --detach --pid-file job.pid web sleep 60

# SEE ALSO

libct-run(1), libct-ps(1), libct-kill(1)
""",
    "kill": """\
The signal goes to the first process of the container.
KILL ends all its processes.

With `--regex` a container that cannot be sent the signal is a warning, and the others follow.

# EXAMPLES

    libct kill web
    libct kill web KILL
    libct kill --regex '^test-' INT

# SEE ALSO

libct-delete(1), libct-list(1), kill(2), signal(7)
""",
    "delete": """\
Its control groups go too, and its poststop hooks run.
With `--force` all its processes are killed first.

# EXAMPLES

    libct delete web
    libct delete --force web
    libct delete --force --regex '^test-'

# SEE ALSO

libct-create(1), libct-kill(1), libct-list(1)
""",
    "update": """\
If one of the limits cannot be set, those that were set before it are set back.

# EXAMPLES

    libct update --memory 512M --pids-limit 100 web
    libct update --unified memory.high=1000000 web
    libct update --resources - web <limits.json

# SEE ALSO

libct-events(1), cgroups(7)

`libct help commands` and `libct help cgroups`
""",
    "mounts": """\
Bind mounts and new file systems can be added, also while the container waits for its start or is
paused; not proc, sysfs, mqueue, control groups and remounts.
Sources are opened as the caller sees the host.
Destinations are looked up in the container, and no link of it leads out.

`remove` unmounts what `add` has mounted there last.
If the container has moved, unmounted or covered it, that is an error, and nothing is unmounted.

# EXAMPLES

    libct mounts add web mounts.json
    libct mounts remove web mounts.json

mounts.json:

    [{"destination": "/data", "source": "/srv/data", "type": "bind", "options": ["bind", "ro"]}]

# SEE ALSO

libct-run(1), mount(8)

`libct help commands`
""",
    "list": """\
A container whose state is damaged is a warning, and the others are shown.

# EXAMPLES

    libct list
    libct list --format json
    libct list --quiet

# SEE ALSO

libct-ps(1), libct-delete(1)
""",
    "ps": """\
ps(1) shows the processes of the host, and libct keeps the lines of those of the container.
The column PID must be among those that are shown.
With `--format json` ps(1) is not needed.

# EXAMPLES

    libct ps web
    libct ps web -o pid,rss,comm
    libct ps --format json web

# SEE ALSO

libct-exec(1), libct-list(1), ps(1)
""",
    "events": """\
Each event is a line of JSON, in runc's form.
It ends when the container stops.
DURATION is, for example, 500ms, 5s or 1m30s.

# EXAMPLES

    libct events --stats web
    libct events --interval 1m web
    libct events --pressure critical web

# SEE ALSO

libct-update(1), cgroups(7)
""",
    "checkpoint": """\
It ends the container and removes it, unless `--leave-running` or `--pre-dump` is given.
If it fails, the container runs on, and the error has the last lines of CRIU's log.
Only root may do this.
`libct check` says what the installed CRIU can do.

# EXAMPLES

    libct checkpoint --image-path images web
    libct checkpoint --image-path images --leave-running --tcp-established web

# SEE ALSO

libct-restore(1), libct-check(1), criu(8)

`libct help checkpoint.md`
""",
    "restore": """\
Files are not in the images: the root file system must be as it was.
Namespaces, control groups and limits are made from the configuration of the bundle.
A restore that fails leaves nothing behind.
Only root may do this.

# EXIT STATUS

That of the first process, or 128 plus the number of the signal that killed it.
With `--detach` it is 0 once the processes go on.
If libct itself fails, it is 1.

# EXAMPLES

    libct restore --image-path images --bundle bundle --detach web2

# SEE ALSO

libct-checkpoint(1), libct-check(1), criu(8)

`libct help checkpoint.md`
""",
    "spec": """\
A config.json that is there is never written over.
The root file system is expected in the directory rootfs of the bundle.

# FILES

* config.json: what is written, in the directory of `--bundle`.

# EXAMPLES

    libct spec
    libct spec --rootless --bundle mine
    libct spec --from web --bundle copy

# SEE ALSO

libct-check(1), libct-plan(1), libct-run(1)
""",
    "plan": f"""\
No step is performed.
Each step has the process that performs it, its system calls, and the place in config.json that
it comes from.
What is shown is what `create` and `run` perform: they make the same list first.

{_BUNDLE}
# EXAMPLES

    libct plan -b bundle
    libct plan -b bundle --where
    libct plan -b bundle --source 1
    libct plan -b bundle --html plan.html
    libct plan -b bundle --json

# SEE ALSO

libct-check(1), libct-run(1), libct-sandbox(1)

`libct help commands` and `libct help architecture`
""",
    "check": """\
It tries what libct needs of the kernel, in processes of its own, and reads limits, subordinate
ids and security modules.
Every line has its state and, where one is known, what to do.

# EXIT STATUS

0, or 1 if something would keep a container from starting, or if libct itself fails.

# ENVIRONMENT

* NO_COLOR: keeps it from using colors on a terminal.

# EXAMPLES

    libct check
    libct check -b bundle
    libct check --json

# SEE ALSO

libct-spec(1), libct-plan(1)

`libct help troubleshooting`
""",
    "sandbox": """\
The command sees the root of the host, read-only.
/tmp, /run and the home directory are empty, and what is written there is lost at the end.
/proc and /dev are its own.
The current directory is shown, read-only; `--rw .` lets the command write to it.
It has no network but a loopback device, few capabilities, no way to gain any, and a filter of
system calls.
Everything ends when the command ends, or libct does.

Mounts may be given in any order: outer places come before inner ones.
A colon that is part of a path is written `\\:`.
SIZE is in bytes, or has a unit, as in 512k, 100M or 1.5G.
Options end at COMMAND; `--` before it makes that plain.

An ordinary user needs user namespaces, and for limits of memory, processes and CPUs a systemd
of his own or control groups that have been delegated to him: `libct check` tells.

# EXIT STATUS

That of the command, or 128 plus the number of the signal that killed it.

* 124: `--timeout` ended it

* 125: libct itself failed

* 126: the command was found, and could not be executed

* 127: the command was not found

# ENVIRONMENT

The command gets PATH, TERM, LANG, LC_*, TZ, USER, SHELL and the like of the caller's variables.
The others may be secret: `--env NAME` passes one on.

# EXAMPLES

    libct sandbox -- ls -l /

Let a program write to the current directory, with limits:

    libct sandbox --rw . --memory 1G --pids 100 --cpus 2 --timeout 10m -- ./build

Let everything be written, and throw it away at the end:

    libct sandbox --overlay -- sh -c 'echo 42 >/etc/answer; cat /etc/answer'

Show only what is named:

    libct sandbox --empty --ro /usr --ro-try /lib --ro-try /lib64 -- /usr/bin/ls /

Show what would be done:

    libct sandbox --plan --net none -- true

# SEE ALSO

libct-seccomp(1), libct-plan(1), libct-check(1), namespaces(7), landlock(7)

`libct help sandbox.md`, `libct help network` and `libct help landlock`
""",
    "seccomp": """\
Nothing is run.
CALL is the name of a system call, and each ARG a number.

# EXIT STATUS

0, or 1 if `lint` finds an error, or if libct itself fails.

# EXAMPLES

    libct seccomp explain default clone
    libct seccomp explain default socket 38
    libct seccomp lint default
    libct seccomp dump default --arch aarch64
    libct seccomp dump default --json >profile.json

# SEE ALSO

libct-sandbox(1), libct-run(1), seccomp(2)

`libct help seccomp.md`
""",
    "completion": """\
The names of commands and options are completed, their values, and the ids of containers.

# EXAMPLES

    eval "$(libct completion bash)"                                   # in ~/.bashrc
    libct completion zsh >/usr/local/share/zsh/site-functions/_libct
    libct completion fish >~/.config/fish/completions/libct.fish

# SEE ALSO

bash(1), zsh(1), fish(1)
""",
    "man": """\
On a terminal man(1) shows the page; otherwise it is written as it is, in the macros of man(7).

# EXAMPLES

    libct man sandbox
    libct man run | man -l -
    libct man --dir /usr/share/man/man1

# SEE ALSO

man(1), groff_man(7)

`libct help vendoring` is for packagers.
""",
}

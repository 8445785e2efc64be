"""A build sandbox: runs build steps that see the host's tools, and write to one directory.

    python3 build.py SOURCE OUT -- COMMAND [ARG...]

The source is read-only at /src, the result goes to /out.  There is no network; the time zone,
the language and the host's name are always the same, so that a build depends on its source.
"""

import sys

import libct


def build(source, out, *commands):
    """Run the commands one after the other; the first that fails raises CalledProcessError."""
    with libct.Sandbox(
        bind=[(source, "/src", "ro"), (out, "/out")],
        cwd="/src",
        hostname="build",
        clear_env=True,
        env={"TZ": "UTC", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "0", "OUT": "/out"},
    ) as box:
        for command in commands:
            print("+", *command, flush=True)
            box.run(command, stdin=libct.DEVNULL, timeout=3600, check=True)


if __name__ == "__main__":
    source, out, _, *command = sys.argv[1:]
    try:
        build(source, out, command)
    except libct.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} ended with status {error.returncode}")

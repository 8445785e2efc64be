"""python -m libct; or as a plain script, by which the package is found wherever it lies."""

import sys


def _main() -> int:
    if __package__:
        from .cli import main

        return main()
    # It is absolute (since Python 3.9).  Loading os.path takes a tenth of a short command's time.
    package = __file__.rpartition("/")[0]
    parent, _, name = package.rpartition("/")
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        del sys.path[0]  # the package itself: no module of ours is a top-level one
    # Only while the package itself is found: what else lies beside it is not ours.
    sys.path.insert(0, parent)
    try:
        __import__(name)
    finally:
        sys.path.remove(parent)
    cli = __import__(f"{name}.cli", fromlist=["main"])
    status: int = cli.main()
    return status


if __name__ == "__main__":
    sys.exit(_main())

"""python -m libct; or as a plain script, by which the package is found wherever it lies."""

import sys


def _main() -> int:
    if __package__:
        from .cli import main

        return main()
    import os

    package = os.path.dirname(os.path.abspath(__file__))
    parent, name = os.path.split(package)
    if sys.path and sys.path[0] == package:
        del sys.path[0]  # no module of ours is a top-level one
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

"""python -m libct; or as a plain script, by which the package is found wherever it lies."""

import sys

if __name__ == "__main__" and not __package__:
    # Not by sys.path: what lies beside the package is not ours.
    from _frozen_importlib import _load  # type: ignore[attr-defined]  # not in typeshed
    from _frozen_importlib_external import spec_from_file_location

    package = __file__.rpartition("/")[0]
    if not sys.flags.isolated or sys.path[0] == package:
        del sys.path[0]  # the package itself: no module of ours is a top-level one
    name = package.rpartition("/")[2]
    place = f"{package}/__init__.py"
    _load(spec_from_file_location(name, place, submodule_search_locations=[package]))
    finder = f"{package}/loading/finder.py"
    _load(spec_from_file_location(f"{name}.loading.finder", finder)).install()
    sys.exit(__import__(f"{name}.cli", fromlist=["main"]).main())
elif __name__ == "__main__":
    from .cli import main

    sys.exit(main())

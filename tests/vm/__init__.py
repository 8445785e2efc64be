"""Virtual machines with systemd, and what is tested in them.

    python -m tests.vm [--lane NAME]... [--all] [-- COMMAND...]

makes an image for each lane (images.py), boots it (machine.py), runs the lane's
tests or the command in a copy of the checkout, and ends it.  The lanes are in
lanes.py.  The test modules beside run in a guest only.
"""

"""Control groups that systemd makes, as units, when it is asked to over D-Bus.

units.py        units: started, stopped, changed, looked at
connections.py  which bus, and whose turn it is
bus.py          a connection to systemd; its functions are in syscalls/sd_bus.py

Nothing here is imported, and libsystemd is not loaded, unless a container's groups are systemd's.
"""

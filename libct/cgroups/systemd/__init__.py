"""Control groups that systemd makes, as units, when it is asked to over D-Bus.

names.py        what a unit is called, and where its group is
properties.py   what the limits of a container are as properties of its unit
description.py  whose a unit is
variant.py      properties that annotations give
facts.py        what is known of systemd before that
manager.py      the manager: what is planned of these
steps.py        what performs the operations that plan/systemd.py declares
update.py       new limits for a unit that is there
stopping.py     the end of a container's unit
units.py        units: started, stopped, changed, looked at
connections.py  which bus, and whose turn it is
bus.py          a connection to systemd; its functions are in syscalls/sd_bus.py

Nothing here is imported, and libsystemd is not loaded, unless a container's groups are systemd's.
The drivers of the groups' files and these modules do not import each other.
"""

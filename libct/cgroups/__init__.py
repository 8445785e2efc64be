"""Control groups: where a container's processes are counted, limited and frozen.

choose.py     where it begins: choose.new, choose.load
v1.py, v2.py  managers of the two versions
manager.py    what they have in common: the interface
perform.py    changing groups that exist
layout.py     what the host has
resources.py  what a configuration asks for
limits/       what limits come down to: files and values, by version
steps.py      making groups: what performs the operations that plan/cgroups.py
              declares, as limiting.py and entry.py do
limiting.py   limiting them
entry.py      how a process gets into them
files.py      how files of control groups are reached
systemd/      units of systemd over D-Bus; loaded when systemd is asked for
statistics/   what the container has used, as the files tell it
devices/      access to device nodes; loaded when there are rules to apply, and
              may be left out of a vendored copy
"""

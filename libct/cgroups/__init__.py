"""Control groups: where a container's processes are counted, limited and frozen.

manager.py    the interface, and where it begins: manager.new, manager.load
v1.py, v2.py  how the two versions do it
layout.py     what the host has
resources.py  what a configuration asks for
steps.py      making groups and limiting them: what performs the operations that
              plan/cgroups.py declares, as entry.py does
entry.py      how a process gets into them
files.py      how files of control groups are reached
statistics/   what the container has used, as the files tell it
devices/      access to device nodes; loaded when there are rules to apply, and
              may be left out of a vendored copy
"""

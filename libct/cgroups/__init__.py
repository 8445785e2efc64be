"""Control groups: where a container's processes are counted, limited and frozen.

layout.py says what the host has, manager.py what can be done with it (the
entry is manager.new), v1.py and v2.py how the two versions do it, steps.py
the steps they plan, files.py how the files are reached.  devices/, access to
device nodes, is loaded when rules are asked for, and may be left out of a
vendored copy.
"""

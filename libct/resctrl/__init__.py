"""Resource control of CPUs (resctrl): shares of caches and of memory bandwidth.

What Intel calls RDT; also of AMD and ARM.  plan/resctrl.py plans the steps.

groups.py      groups of a container: what performs the steps, and their removal
statistics.py  what they have used

Sources: the kernel's filesystems/resctrl; config-linux.md, IntelRdt.
"""

"""The statuses of a container (runtime.md, State), and what its first process is called.

creating -> created -> running -> stopped
                \\         |  ^
                 `-> paused -'

What is allowed in which, life/rules.py has in one table.
"""

from __future__ import annotations

CREATING = "creating"
CREATED = "created"
RUNNING = "running"
PAUSED = "paused"
STOPPED = "stopped"

INIT_NAME = "libct:init"  # of a container's first process, until it executes its command

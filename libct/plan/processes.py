"""The processes that perform a plan, and what is passed on to them, by name."""

from __future__ import annotations

# The processes of a start.  The runtime is the caller; the server clones the
# first process, or a stage where namespaces are to be joined before that.
RUNTIME = "runtime"
# The runtime's too, done while the others go on: they do not wait for it.  It
# is through with them by its next turn.
MEANWHILE = "runtime, meanwhile"
# The runtime's too, done as soon as it can; the next one waits for it there.  It
# does not wait for the others, so they find it done and need not be woken.
AHEAD = "runtime, ahead"
# The runtimes that start and that delete the container: often other processes than
# the one that creates it.  Their steps are the plan's last, and no part of its course.
STARTER = "runtime, at start"
DELETER = "runtime, at delete"
SERVER = "server"
STAGE = "stage"
INIT = "init"

# The descriptors that become 0, 1 and 2 of a process, by the names that they are passed on under.
STDIO = ("stdin", "stdout", "stderr")
# Files that the output of hooks goes to, where that is asked for.
HOOK_OUTPUT = ("hooks stdout", "hooks stderr")

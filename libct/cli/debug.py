"""What --debug tells of the commands that act on a container that is there."""

from __future__ import annotations

from ..errors import Error
from .log import report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..life.container import Container
    from .options import Arguments


class Teller:
    """Tells what a command has done; it looks at the container before that.

    A container that cannot be looked at is no error: the command will say so.
    """

    def __init__(self, arguments: Arguments, container: Container) -> None:
        self._arguments, self._id = arguments, container.id
        self.facts = {"status": "unknown", "pid": "unknown", "pids": "unknown", "groups": "none"}
        try:
            state = container.state()
            self.facts["status"], self.facts["pid"] = state["status"], str(state["pid"])
            manager = container.manager
            if manager is not None:
                self.facts["groups"] = ", ".join(manager.directories())
            self.facts["pids"] = ", ".join(map(str, container.processes())) or "none"
        except Error:
            pass
        self.tell("it is {status}, its first process {pid}, its processes {pids}")

    def tell(self, text: str) -> None:
        """Log it; {status}, {pid}, {pids} and {groups} are what they were before."""
        message = f"container {self._id!r}: {text.format(**self.facts)}"
        report(self._arguments, "debug", message)

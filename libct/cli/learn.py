"""--seccomp-learn: run a command, and write the profile of the system calls that it has made."""

from __future__ import annotations

from ..loading import jsontext
from ..plan.seccomp import AFTER, AFTER_RIGHTS, AFTER_WAIT
from ..seccomp.architectures import here
from ..seccomp.learning import Learner
from .launch import replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..life.process import Process


class Learning:
    """A run that is watched.  The profile of the configuration is not in force meanwhile."""

    __slots__ = ("_learner", "_path")

    def __init__(self, path: str, config: Config, process: Process) -> None:
        self._path = path
        self._learner = Learner(here())
        config.seccomp = self._learner.watched
        process.notify = self._learner.answer
        self.write()  # a place that cannot be written is told before the run

    def write(self) -> None:
        profile = self._learner.profile((*AFTER, *AFTER_WAIT, *AFTER_RIGHTS))
        text = jsontext.dumps(profile) + "\n"
        replace_file(self._path, text.encode(), "profile")

"""The control groups of one container as those of a unit of systemd.

systemd makes the unit's groups and sets what it has properties for; what happens inside them
is the matter of a manager of the groups' files, v1's or v2's, which choose.py hands over.
It is known here by the interface alone.

A scope needs a process.  So the first process of a container is cloned where the runtime is,
and waits until the unit has been made with it in it; only then can it unshare its cgroup
namespace.

Sources: systemd's CGROUP_DELEGATION.md; org.freedesktop.systemd1(5);
crun(1), run.oci.systemd.subgroup and run.oci.delegate-cgroup.
"""

from __future__ import annotations

from ...plan import systemd as steps
from ..manager import Manager
from ..resources import PATH_PLACE, device_access, refuse
from . import names
from .facts import is_users
from .properties import for_files, limit_properties, oom_properties, unit_properties
from .variant import property_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...config.cgroup import Cgroup, Resources
    from ...plan.step import Step
    from ..layout import Layout
    from ..resources import Problem
    from .facts import Systemd
    from .properties import Property

    # The manager of the files of groups, for a configuration whose path is theirs.
    Files = Callable[[Cgroup], Manager]

PREFIX = "libct"  # of the scope of a container that says none
_PROPERTY = "annotations.org.systemd.property"
# What makes a group and what it needs to take a process: the first steps of a files' manager.
_MAKING = ("cgroup_mkdir", "cgroup_cpuset_v1")


def plan(
    cgroup: Cgroup, container_id: str, layout: Layout, systemd: Systemd, files: Files
) -> SystemdManager:
    """The manager of a container to be made.  Pure.

    systemd: what is known of the service manager.
    """
    problems: list[Problem] = []
    name = cgroup.name or container_id
    slice_name = cgroup.parent or (names.USER_SLICE if systemd.user else names.SYSTEM_SLICE)
    try:
        unit = names.unit_name(cgroup.scope_prefix or PREFIX * (not cgroup.name), name)
        group = names.group_of(unit, slice_name)
    except ValueError as error:
        problems.append((PATH_PLACE, str(error)))
        unit = group = f"{PREFIX}.scope"  # of nobody: with a problem nothing is planned
    if systemd.user and layout.mode != "v2":
        what = "an ordinary user's systemd cannot limit a container with cgroup v1"
        problems.append((PATH_PLACE, f"{what} (leave --systemd-cgroup out, or boot with v2)"))
    problems += _below_problems(cgroup, layout)
    directory = f"{systemd.group}/{group}"
    placed = _placed(cgroup, "/".join([directory, *_parts(cgroup.sub_group)]))
    inner = files(placed)
    made = SystemdManager(cgroup, inner, unit, user=systemd.user)
    problems += inner.problems()
    if not problems:
        is_slice = names.is_slice(unit)
        made.properties = unit_properties(name, slice_name, inner.version, is_slice=is_slice)
        access, _ = device_access(cgroup.resources)
        limits, found = limit_properties(
            cgroup.resources, access, inner.version, systemd.version, bfq=systemd.bfq
        )
        made.properties += limits
        if inner.version == 2 and not is_slice:
            made.properties += oom_properties(cgroup.resources, systemd.version)
        problems += found + _add_annotated(made.properties, cgroup.systemd_props)
    made._problems = problems
    return made


def load(cgroup: Cgroup, inner: Manager) -> SystemdManager:
    """The manager of a unit that is there.  inner: of the files of its groups."""
    directory = next(iter(inner.paths().values()))
    for _ in _parts(cgroup.sub_group):
        directory = directory.rpartition("/")[0]
    made = SystemdManager(cgroup, inner, names.unit_of(directory), user=is_users(cgroup))
    made.is_made = True
    return made


def _placed(cgroup: Cgroup, path: str) -> Cgroup:
    """The configuration of the groups' files."""
    resources = for_files(cgroup.resources)
    return cgroup.copy(systemd=False, name="", parent="", path=path, resources=resources)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _below_problems(cgroup: Cgroup, layout: Layout) -> list[Problem]:
    problems = []
    for place, path in (
        ("annotations.run.oci.systemd.subgroup", cgroup.sub_group),
        ("annotations.run.oci.delegate-cgroup", cgroup.delegate),
    ):
        if ".." in _parts(path) or "\n" in path or "\0" in path:
            problems.append((place, f"no path below the unit's control group: {path!r}"))
    if cgroup.delegate and layout.mode != "v2":
        what = "control groups of version 1 cannot be delegated"
        problems.append(("annotations.run.oci.delegate-cgroup", what))
    return problems


def _add_annotated(properties: list[Property], annotated: dict[str, str]) -> list[Problem]:
    """They are the last ones, and hold."""
    problems = []
    for name, text in annotated.items():
        try:
            found = property_of(name, text)
        except ValueError as error:
            problems.append((f"{_PROPERTY}.{name}", str(error)))
            continue
        properties[:] = [one for one in properties if one[0] != found[0]]
        properties.append(found)
    return problems


class SystemdManager(Manager):
    """The unit of one container, and the manager of its files.

    is_made: the unit is there; a process is cloned into its group then, or is attached to
        it by systemd where attaches is set.
    """

    __slots__ = ("attaches", "files", "is_made", "properties", "unit", "user")

    def __init__(self, cgroup: Cgroup, files: Manager, unit: str, *, user: bool) -> None:
        super().__init__(cgroup, files.paths())
        self.files, self.unit, self.user = files, unit, user
        self.properties: list[Property] = []
        self.is_made = self.attaches = False

    @property
    def version(self) -> int:  # type: ignore[override]  # it is the files'
        return self.files.version

    # --- planning ---

    def create_steps(self) -> list[Step]:
        """Before there is a process, systemd can be asked, and no more."""
        refuse(self._problems)
        return [steps.systemd_check(self.unit, int(self.user), why=PATH_PLACE)]

    def attach_steps(self) -> list[Step]:
        if self.attaches:
            below = self.main_directory() or ""
            below = below[len(self._unit_directory(below)) :]
            return [steps.systemd_attach(self.unit, int(self.user), below, why=self._place)]
        if self.is_made:
            return []
        planned = self.files.create_steps()
        making = [step for step in planned if step.op in _MAKING]
        rest = [step for step in planned if step.op not in _MAKING]
        return [
            steps.systemd_start_unit(
                self.unit,
                int(self.user),
                self._unit_directory(self._tracked()),
                int(not names.is_slice(self.unit)),
                tuple(self.properties),
                why=PATH_PLACE,
            ),
            *map(_take_or_make, making),
            # Before controllers are enabled for a group below the unit's, which is to be
            # without processes then.
            *(steps.systemd_join(*step.args, why=step.why) for step in self.files.join_steps()),
            *rest,
        ]

    def delegate_steps(self) -> list[Step]:
        if not self.cgroup.delegate:
            return []
        directory, below = self._paths[""], "/".join(_parts(self.cgroup.delegate))
        why = "annotations.run.oci.delegate-cgroup"
        return [steps.systemd_delegate(directory, below, self.cgroup.owner_uid, why=why)]

    def _tracked(self) -> str:
        """The group that systemd knows the unit's processes by."""
        return self._paths.get("name=systemd") or next(iter(self._paths.values()))

    def _unit_directory(self, path: str) -> str:
        """The group of the unit that this one is of, in the same hierarchy."""
        while path and names.unit_of(path) != self.unit:
            path = path.rpartition("/")[0]
        return path

    def limit_steps(self, resources: Resources) -> list[Step]:
        return self.files.limit_steps(for_files(resources))

    def device_steps(self, resources: Resources) -> list[Step]:
        return self.files.device_steps(resources)

    def entry_steps(self) -> tuple[list[Step], list[Step], list[Step]]:
        return self.files.entry_steps() if self._is_entered() else ([], [], [])

    def join_steps(self) -> list[Step]:
        return [] if self.attaches else self.files.join_steps()

    def cgroup_directory(self) -> str | None:
        return self.files.cgroup_directory() if self._is_entered() else None

    def _is_entered(self) -> bool:
        return self.is_made and not self.attaches

    def _is_required(self, controller: str) -> bool:
        return self.files._is_required(controller)

    # --- for further processes ---

    def below(self, paths: dict[str, str]) -> Manager:
        return self._around(self.files.below(paths), place="sub_cgroup_paths")

    def around(self, pid: int) -> Manager:
        return self._around(self.files.around(pid))

    def attached(self) -> SystemdManager:
        """For a process that systemd is to put into the unit: we have no right to."""
        made = self._around(self.files)
        made.attaches = True
        return made

    def _around(self, files: Manager, *, place: str = "") -> SystemdManager:
        made = SystemdManager(self.cgroup, files, self.unit, user=self.user)
        made.is_made, made.attaches = True, self.attaches
        made._place = place or self._place
        return made

    # --- live ---

    def main_directory(self) -> str | None:
        return self.files.main_directory()

    def populated(self) -> bool:
        return self.files.populated()

    def freeze(self) -> None:
        self.files.freeze()

    def thaw(self) -> None:
        self.files.thaw()

    def oom_kill_count(self) -> int:
        return self.files.oom_kill_count()

    def set(
        self,
        resources: Resources,
        before: Resources | None = None,
        done: Callable[[], object] | None = None,
    ) -> None:
        from .update import update

        update(self, resources, before, done)


def _take_or_make(step: Step) -> Step:
    """What a files' manager makes, systemd has made, in those hierarchies that it uses."""
    return steps.systemd_group(*step.args, why=step.why) if step.op == "cgroup_mkdir" else step

"""One setting of a control group: the files it is in, and the step that writes it."""

from __future__ import annotations

from ...plan import cgroups as steps
from ..resources import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...config.cgroup import Resources
    from ...plan.step import Step

    # File, what is to be written there, and whether it may be missing.
    Write = tuple[str, str, int]


class Setting:
    """What one place of the configuration, or a few that hang together, ask of a controller.

    controller: as its version calls it; "" is what every group of v2 has.
    where: the place below linux.resources, "memory.limit".
    writes: what goes to which file.  Of several, each is judged by the present values
        of the others; or, first, they are the files of different kernels, of which the
        first that is there takes its value.
    """

    __slots__ = ("controller", "first", "where", "writes")

    def __init__(
        self, controller: str, where: str, *writes: Write | tuple[str, str], first: bool = False
    ) -> None:
        self.controller, self.where, self.first = controller, where, first
        self.writes: tuple[Write, ...] = tuple(
            (write[0], write[1], write[2] if len(write) == 3 else 0) for write in writes
        )

    def __repr__(self) -> str:
        more = ", first=True" if self.first else ""
        return f"Setting({self.controller!r}, {self.where!r}, *{self.writes!r}{more})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Setting) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]  # a value

    def step(self, directory: str) -> Step:
        """What writes it to the group."""
        why = place(self.where)
        if self.first:
            pairs = tuple((file, value) for file, value, _ in self.writes)
            return steps.cgroup_write_first(directory, pairs, why=why)
        if len(self.writes) > 1:
            return steps.cgroup_write_group(directory, self.writes, why=why)
        ((file, value, if_there),) = self.writes
        return steps.cgroup_write(f"{directory}/{file}", value, if_there, why=why)


def rdma(resources: Resources) -> list[Setting]:
    """Limits of RDMA devices, which both versions write alike."""
    found = []
    for device, limits in resources.rdma.items():
        words = [
            f"{word}={limit}"
            for word, limit in (
                ("hca_handle", limits.hca_handles),
                ("hca_object", limits.hca_objects),
            )
            if limit is not None
        ]
        if words:
            write = ("rdma.max", " ".join([device, *words]))
            found.append(Setting("rdma", f"rdma.{device}", write))
    return found


def huge_pages(resources: Resources, limit: str) -> list[Setting]:
    """Limits of huge pages, used and reserved.  limit: how its version ends the files' names."""
    return [
        Setting(
            "hugetlb",
            f"hugepageLimits[{index}]",
            (f"hugetlb.{at.page_size}.{limit}", str(at.limit)),
            (f"hugetlb.{at.page_size}.rsvd.{limit}", str(at.limit), 1),
        )
        for index, at in enumerate(resources.hugetlb_limit)
    ]


def steps_of(settings: Iterable[Setting], directory: Callable[[str], str]) -> list[Step]:
    """The steps that write settings.  directory: that of a controller's group."""
    return [setting.step(directory(setting.controller)) for setting in settings]


def asked(settings: Iterable[Setting]) -> dict[str, str]:
    """The controllers that settings need, each with the first place that asks for it."""
    found: dict[str, str] = {}
    for setting in settings:
        if setting.controller:
            found.setdefault(setting.controller, place(setting.where))
    return found

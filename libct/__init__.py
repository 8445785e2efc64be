"""libct: Linux containers from Python, with nothing but Python.

    config, process = libct.from_bundle("/path/to/bundle")
    with libct.create("/run/containers", "one", config) as container:
        container.run(process)
        print(process.wait())

The public names are in names.py; each is loaded when it is first used (PEP 562),
for start-up is a feature.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .bootstrap.servers import stop_server as stop_server
    from .cgroups.devices import (
        ALLOWED_DEVICES as ALLOWED_DEVICES,
    )
    from .cgroups.statistics.records import (
        CgroupStats as CgroupStats,
        Stats as Stats,
    )
    from .config import (
        NEWCGROUP as NEWCGROUP,
        NEWIPC as NEWIPC,
        NEWNET as NEWNET,
        NEWNS as NEWNS,
        NEWPID as NEWPID,
        NEWTIME as NEWTIME,
        NEWUSER as NEWUSER,
        NEWUTS as NEWUTS,
        Capabilities as Capabilities,
        Cgroup as Cgroup,
        Config as Config,
        CPUAffinity as CPUAffinity,
        Device as Device,
        DeviceRule as DeviceRule,
        Entry as Entry,
        Hook as Hook,
        Hooks as Hooks,
        IDMap as IDMap,
        IOPriority as IOPriority,
        Landlock as Landlock,
        MemoryPolicy as MemoryPolicy,
        Mount as Mount,
        MountIDMapping as MountIDMapping,
        Namespace as Namespace,
        Network as Network,
        Personality as Personality,
        RecAttr as RecAttr,
        Resources as Resources,
        Rlimit as Rlimit,
        Route as Route,
        Scheduler as Scheduler,
        Seccomp as Seccomp,
        TimeOffset as TimeOffset,
    )
    from .errors import (
        CallError as CallError,
        CgroupError as CgroupError,
        ConfigError as ConfigError,
        ContainerDamaged as ContainerDamaged,
        ContainerExists as ContainerExists,
        ContainerNotFound as ContainerNotFound,
        ContainerNotPaused as ContainerNotPaused,
        ContainerNotRunning as ContainerNotRunning,
        ContainerPaused as ContainerPaused,
        ContainerRunning as ContainerRunning,
        Error as Error,
        Finding as Finding,
        InvalidID as InvalidID,
        ServerError as ServerError,
        StepError as StepError,
        Unsupported as Unsupported,
    )
    from .life.container import (
        Container as Container,
        list_containers as list_containers,
        load as load,
    )
    from .life.creating import create as create, plan as plan
    from .life.events import Events as Events
    from .life.process import Process as Process, ProcessState as ProcessState
    from .life.restoring import restore as restore
    from .life.state import State as State
    from .oci.bundle import (
        from_bundle as from_bundle,
    )
    from .oci.writing import to_bundle as to_bundle
    from .sandbox.box import Sandbox as Sandbox
    from .sandbox.call import call as call
    from .sandbox.popen import Popen as Popen
    from .sandbox.results import (
        CalledProcessError as CalledProcessError,
        CompletedProcess as CompletedProcess,
        TimeoutExpired as TimeoutExpired,
        Usage as Usage,
    )
    from .sandbox.running import run as run, run_async as run_async
    from .sandbox.streams import DEVNULL as DEVNULL, PIPE as PIPE, STDOUT as STDOUT

    __all__: list[str]

__version__ = "0.1.0"

# The Python that runs the bootstrap server; "" is sys.executable.  For host
# programs whose sys.executable is no Python (embedded, frozen).
interpreter = ""


def __getattr__(name: str) -> object:
    from .names import MODULE_OF

    if name == "__all__":
        return [*sorted(MODULE_OF), "interpreter"]
    module = MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # "plan" is a function here and a package below: importlib, unlike
    # __import__ with a fromlist, cannot mistake the one for the other.
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    from .names import MODULE_OF

    return sorted([*MODULE_OF, "interpreter", "__version__"])

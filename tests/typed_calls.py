"""Calls of every public name, as a type checker is to take them; nothing here is ever run.

mypy --strict reads this file with all others; `pyright tests/typed_calls.py` should be clean, too.
tests/unit/test_public_names.py looks whether a name is missing.
"""

from __future__ import annotations

import resource
from pathlib import Path

import libct
from libct import (
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWTIME,
    NEWUSER,
    NEWUTS,
)


def answer(number: int) -> int:
    return number + 1


def runs() -> list[str]:
    done = libct.run(
        ["python3", Path("job.py")],
        rw=["out", Path("in")],
        ro=("/data",),
        ro_try=["/x"],
        rw_try=["/x"],
        bind=[("/a", "/b"), ("/a", Path("/c"), "ro")],
        bind_try=[("/a", "/b")],
        tmpfs=["/t", ("/u", "1M"), (Path("/v"), 4096)],
        dir=["/d"],
        symlink=[("a", "/b")],
        file={"/a": "text", Path("/b"): b"bytes", "/c": Path("copy")},
        dev=["/dev/fuse"],
        rootfs="/srv/root",
        empty=False,
        proc="none",
        sys="own",
        overlay=True,
        home=True,
        net="host",
        env={"A": "b"},
        clear_env=True,
        unset=["TZ"],
        cwd="/tmp",
        user=1000,
        uid=1,
        gid=1,
        userns=True,
        subids=False,
        hostname="box",
        memory="256M",
        pids=64,
        cpus=0.5,
        rlimits={"NOFILE": 10, "FSIZE": ("1K", -1)},
        cpu_time=1.5,
        keep_caps=False,
        seccomp="default",
        landlock=libct.Landlock(),
        cgroups="cgroupfs",
        as_pid_1=False,
        outlive=False,
        root=Path("/run/other"),
        timeout=10,
        input="data",
        capture_output=True,
        text=True,
        check=True,
        max_output="1M",
    )
    usage: libct.Usage = done.usage
    completed: libct.CompletedProcess = done
    wall: float = usage.wall
    memory: int | None = usage.memory
    ended_by: str = completed.ended_by
    returncode: int = completed.returncode
    return [str(one) for one in (wall, memory, ended_by, completed.hint, returncode)]


def opened() -> int:
    with libct.Popen(
        ["sort"], stdin=libct.PIPE, stdout=libct.DEVNULL, stderr=libct.STDOUT, text=True
    ) as popen:
        popen.communicate("a", timeout=5)
        popen.send_signal(15)
        popen.terminate()
        popen.kill()
        found: int | None = popen.poll()
    return popen.wait(timeout=1) + (found or 0)


async def asynchronously() -> int:
    done = await libct.run_async(["true"], memory=1 << 20, timeout=1.5)
    async with libct.Sandbox(rw=["."]) as box:
        other = await box.run_async(["true"])
    popen = libct.Popen(["true"])
    return done.returncode + other.returncode + await popen


def boxes() -> int:
    with libct.Sandbox(rw=["build"], memory="1G") as box:
        done = box.run(["make"], env={"A": "b"}, cwd=Path("/tmp"), check=True)
        number: int = box.call(answer, 1, timeout=1)
        box.popen(["true"], user="nobody", stdout=libct.PIPE).wait()
        container: libct.Container = box.container
        container.pause()
    return done.returncode + number + int(libct.call(answer, 1, memory="64M", max_result=100))


def errors() -> str:
    try:
        libct.run(["true"], check=True)
    except libct.TimeoutExpired as error:
        return f"{error.timeout} {error.usage} {error.ended_by}"
    except libct.CalledProcessError as error:
        return f"{error.returncode} {error.usage.wall} {error.ended_by} {error.hint}"
    except libct.CallError as error:
        return f"{error.ended_by} {error}"
    except libct.ConfigError as error:
        findings: list[libct.Finding] = list(error.findings)
        return findings[0].message
    except libct.StepError as error:
        return f"{error.number} {error.place} {error.hint}"
    except (
        libct.CgroupError,
        libct.ContainerDamaged,
        libct.ContainerExists,
        libct.ContainerNotFound,
        libct.ContainerNotPaused,
        libct.ContainerNotRunning,
        libct.ContainerPaused,
        libct.ContainerRunning,
        libct.InvalidID,
        libct.ServerError,
        libct.Unsupported,
    ) as error:
        return str(error)
    except libct.Error:
        return ""
    return libct.__version__ + libct.interpreter


def config() -> libct.Config:
    kinds = (NEWNS, NEWPID, NEWUTS, NEWIPC, NEWCGROUP, NEWNET, NEWUSER, NEWTIME)
    return libct.Config(
        "/srv/root",
        namespaces=[libct.Namespace(kind) for kind in kinds],
        mounts=[
            libct.Mount(
                "/mnt",
                "/srv",
                "bind",
                rec_attr=libct.RecAttr(1, 0),
                id_mapping=libct.MountIDMapping(
                    uid_mappings=[libct.IDMap(0, 1000, 1)], gid_mappings=[libct.IDMap(0, 1000, 1)]
                ),
            )
        ],
        entries=[libct.Entry("/d")],
        devices=[libct.Device("/dev/null", "c", 1, 3), *libct.ALLOWED_DEVICES[:0]],
        capabilities=libct.Capabilities(bounding=["CAP_CHOWN"]),
        cgroups=libct.Cgroup(
            path="/a",
            resources=libct.Resources(memory=1 << 20, devices=[libct.DeviceRule("c", 1, 3, "r")]),
        ),
        hooks=libct.Hooks(poststop=[libct.Hook("/bin/true")]),
        io_priority=libct.IOPriority(2),
        landlock=libct.Landlock(),
        memory_policy=libct.MemoryPolicy(1),
        networks=[libct.Network(type="loopback")],
        personality=libct.Personality(),
        rlimits=[libct.Rlimit(resource.RLIMIT_NOFILE, 10, 10)],
        routes=[libct.Route()],
        scheduler=libct.Scheduler(0),
        seccomp=libct.Seccomp("SCMP_ACT_ALLOW"),
        time_offsets={"monotonic": libct.TimeOffset(1, 0)},
        exec_cpu_affinity=libct.CPUAffinity(),
    )


def containers() -> list[object]:
    made, first = libct.from_bundle("/srv/bundle")
    libct.to_bundle(made, first, "/srv/copy")
    libct.stop_server()
    assert first is not None
    libct.restore("/run/libct", "again", made, first, "/srv/images", tcp_established=True)
    steps: list[str] = [step.op for step in libct.plan(config(), first).steps]
    with libct.create("/run/libct", "one", config()) as container:
        process = libct.Process(["sh"], env={"A": "b"}, user=0, init=True)
        container.run(process)
        ended: libct.ProcessState = process.wait()
        stats: libct.Stats = container.stats()
        groups: libct.CgroupStats = stats.cgroup_stats
        state: libct.State = container.current_state()
        events: libct.Events = container.oom_events()
        container.checkpoint("/srv/images")
        loaded: libct.Container = libct.load("/run/libct", "one")
        return [ended, groups, state, events, loaded, steps, *libct.list_containers("/run/libct")]

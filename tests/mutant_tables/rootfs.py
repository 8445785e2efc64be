"""Mutants of mounts, devices, users, capabilities and the order of a plan."""

from __future__ import annotations

from . import Mutant

_KERNEL = "tests/kernel/test_"
_DEVICES = f"{_KERNEL}rootfs_devices.py::test_"
_MOUNTS = f"{_KERNEL}rootfs_mounts.py::test_"
_PATHS = f"{_KERNEL}rootfs_paths.py::test_"
_ROOT = f"{_KERNEL}rootfs_root.py::test_"
_VIEW = f"{_KERNEL}rootfs_view.py::test_"
_OLD = f"{_KERNEL}rootfs_old_kernel.py::test_"
_COPYUP = f"{_KERNEL}rootfs_copyup.py::test_"
_CGROUP = f"{_KERNEL}rootfs_cgroup.py::test_"
_CONSOLE = f"{_KERNEL}console.py::test_"
_SECURITY = f"{_KERNEL}security.py::test_"
_ATTRIBUTES = f"{_KERNEL}attributes.py::test_"
_NAMESPACES = f"{_KERNEL}namespaces.py::test_"
_EXEC = f"{_KERNEL}exec.py::test_"
_INVARIANTS = f"{_KERNEL}bootstrap_invariants.py::test_"
_USERS = "tests/unit/test_security.py::test_"
_PLAN = "tests/unit/test_plan.py::test_"
_RULES = "tests/unit/test_config_validate.py::test_rules"

_LOAD = "tests/unit/test_oci_load.py::test_"


def _earlier(lines: str, op: str) -> str:
    """The lines of a planner, and what they add to the plan then moved before the first op."""
    indent = lines[: len(lines) - len(lines.lstrip())]
    first = f"next((at for at, one in enumerate(plan.steps) if one.op == {op!r}), end)"
    return (
        f"{indent}end = len(plan.steps)\n{lines}"
        f"{indent}added, at = plan.steps[end:], {first}\n"
        f"{indent}plan.steps[end:] = []\n{indent}plan.steps[at:at] = added\n"
    )


_CWD = '    plan.add(who, "rootfs", [root.make_directory(process.cwd, why="process.cwd")])\n'
_ENTER = '    plan.add(who, "enter", root.enter_steps(config))\n'
_READ_ONLY = '    plan.add(who, "system", read_only)\n'
_READ_ONLY_ROOT = (
    "    if config.readonlyfs:\n"
    '        plan.add(who, "system", [root.make_root_read_only(why="root.readonly")])\n'
)
_READ_ONLY_PATHS = '    plan.add(who, "system", masks.read_only_path_steps(config))\n'
_MASKED_PATHS = '    plan.add(who, "system", masks.masked_path_steps(config))\n'
_CREATE_HOOKS = (
    '    plan.add(RUNTIME, "hooks", [*hook_steps("prestart"), *hook_steps("createRuntime")])\n'
)
_CONTAINER_HOOKS = '    plan.add(who, "hooks", hook_steps("createContainer"))\n'
_BECOME_USER = '    plan.add(who, "process", [users.become_user(why="process.user")])\n'
_FIND_COMMAND = (
    '    plan.add(who, "process", '
    '[execute.find_command(process.args[0], search, why="process.args")])\n'
)
_SET = "        set_capabilities(*had, why=place),\n"
_AMBIENT = '        raise_ambient(masks.ambient, why=f"{place}.ambient"),\n'
_IDENTITY = '    plan.add(who, "identity", [ns.new_session(), *own])\n'
_ENTRY = (
    '    plan.add(who, "identity", entry)\n'
    "    if host.euid != 0:\n"
    '        plan.add(who, "identity", [ns.make_undumpable()])\n'
)
_CLONE = '        plan.add(SERVER, "clone", [*lend, *reaper, init])\n'
_STAGED = (
    "        maps, flags ="
    " _join(plan, config, host, flags, maps, apart=bool(shared), reaped=reaped)\n"
)
_JOIN = (
    '    plan.add(who, "join", [ns.join_process(flags, tuple(joined.items()))] if flags else [])\n'
)
_RUNTIME_SCORE = (
    "        # A lower score than the runtime's needs rights that a user namespace takes.\n"
    '        plan.add(RUNTIME, "attach", limits.oom_score_steps(config.oom_score_adj, own=False))\n'
)
_OPEN_PROC = '    plan.add(who, "identity", [] if staged else [open_proc(), *start])\n'

_PATHS_IN_ROOT = [
    Mutant(
        "a path is resolved below the rootfs",
        "rootfs/paths.py",
        "resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS",
        "resolve = RESOLVE_NO_MAGICLINKS",
        (f"{_PATHS}nothing_leads_outside",),
    ),
    Mutant(
        "magic links of /proc lead nowhere",
        "rootfs/paths.py",
        "resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS",
        "resolve = RESOLVE_IN_ROOT",
        (f"{_PATHS}magic_links_are_not_followed",),
    ),
    Mutant(
        "where no link is allowed none is followed",
        "rootfs/paths.py",
        "        resolve |= RESOLVE_NO_SYMLINKS\n",
        "        pass\n",
        (f"{_PATHS}loops_and_forbidden_links",),
    ),
    Mutant(
        "no .. leads above the root",
        "plan/paths.py",
        'return normal("/" + path.lstrip("/"))',
        'return "/" + path.lstrip("/")',
        ("tests/unit/test_rootfs.py::test_inside",),
    ),
    Mutant(
        "a rootfs that a link leads to is refused",
        "config/rules_rootfs.py",
        "            if problem:\n",
        "            if False:\n",
        (f"{_ROOT}a_rootfs_reached_by_a_link_is_refused",),
    ),
    Mutant(
        "a file is not made where a link of the image leads",
        "rootfs/paths.py",
        "posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW",
        "posix.O_WRONLY | posix.O_CREAT",
        (f"{_PATHS}nothing_leads_outside",),
    ),
    Mutant(
        "the rootfs itself is reached without links (CVE-2019-18837)",
        "rootfs/root.py",
        "posix.O_PATH | posix.O_DIRECTORY, resolve=RESOLVE_NO_SYMLINKS)",
        "posix.O_PATH | posix.O_DIRECTORY)",
        (f"{_ROOT}a_rootfs_that_has_gone",),
    ),
    Mutant(
        "proc and sysfs are mounted on real directories (CVE-2019-19921)",
        "rootfs/filesystems.py",
        'links = fstype not in ("proc", "sysfs")',
        "links = True",
        (f"{_MOUNTS}proc_and_sys_want_real_directories",),
    ),
]

_MASKS = [
    Mutant(
        "files are masked by the null device and no other (CVE-2025-31133)",
        "rootfs/masks.py",
        "        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != posix.makedev(1, 3):\n",
        "        if not stat.S_ISCHR(found.st_mode):\n",
        (f"{_DEVICES}a_false_null_device_masks_nothing",),
    ),
    Mutant(
        "files are masked by a device",
        "rootfs/masks.py",
        "        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != posix.makedev(1, 3):\n",
        "        if stat.S_ISCHR(found.st_mode) and found.st_rdev != posix.makedev(1, 3):\n",
        (f"{_DEVICES}a_false_null_device_masks_nothing",),
    ),
    Mutant(
        "a masked path is believed missing on the mount alone that was made for it",
        "rootfs/held.py",
        "    if base:\n        resolve =",
        "    if False:\n        resolve =",
        (f"{_DEVICES}a_proc_that_is_exchanged_during_the_start_is_masked",),
    ),
    Mutant(
        "a link out of a mount does not keep a path from being masked",
        "rootfs/held.py",
        "                raise\n    return find_in_root",
        "                raise\n            return -1\n    return find_in_root",
        (f"{_DEVICES}links_of_masked_paths_lead_from_one_mount_to_another",),
    ),
    Mutant(
        "a mask of the root itself is refused",
        "rootfs/masks.py",
        'raise StepProblem(f"{path} is the root itself")',
        "pass",
        (f"{_DEVICES}the_root_can_be_neither_masked_nor_made_read_only_by_path",),
    ),
    Mutant(
        "a read-only path that is the root itself is refused",
        "rootfs/masks.py",
        'raise StepProblem(f"{path} is the root itself", "set root.readonly for that")',
        "pass",
        (f"{_DEVICES}the_root_can_be_neither_masked_nor_made_read_only_by_path",),
    ),
    Mutant(
        "a masked directory is read-only",
        "rootfs/masks.py",
        "room + options, MS_RDONLY, MOUNT_ATTR_RDONLY)",
        "room + options)",
        (f"{_DEVICES}masked_paths",),
    ),
    Mutant(
        "a masked directory has room for nothing",
        "rootfs/masks.py",
        '"tmpfs", "tmpfs", room + options, MS_RDONLY',
        '"tmpfs", "tmpfs", options, MS_RDONLY',
        (f"{_DEVICES}masked_paths",),
    ),
    Mutant(
        "a read-only path is read-only",
        "rootfs/masks.py",
        "late = not set_attributes(tree, MOUNT_ATTR_RDONLY, 0)",
        "late = False",
        (f"{_DEVICES}read_only_paths",),
    ),
    Mutant(
        "a read-only path still has what covers things below it",
        "rootfs/masks.py",
        'tree = clone_tree("", recursive=True, dirfd=place)',
        'tree = clone_tree("", recursive=False, dirfd=place)',
        (f"{_DEVICES}read_only_paths",),
    ),
]

_MOUNTS_AND_DEVICES = [
    Mutant(
        "nothing is mounted over the root",
        "rootfs/attach.py",
        'if same_file(place, context.fds["root"]):',
        "if False:",
        (f"{_MOUNTS}binds_that_cannot_be",),
    ),
    Mutant(
        "only a whole proc file system is mounted on /proc (CVE-2019-16884)",
        "rootfs/attach.py",
        "if tree < 0 or not is_whole_proc(tree):",
        "if False:",
        (f"{_MOUNTS}what_is_below_proc_cannot_be_mounted_over[False]",),
    ),
    Mutant(
        "a directory of a proc file system is no whole one",
        "attributes/procfs.py",
        " and posix.fstat(fd).st_ino == _PROC_ROOT",
        "",
        (f"{_MOUNTS}what_is_below_proc_cannot_be_mounted_over[False]",),
    ),
    Mutant(
        "nothing is mounted where a link leads below /proc (CVE-2023-28642)",
        "rootfs/attach.py",
        " or fstatfs(place).type == PROC_SUPER_MAGIC\n",
        "\n",
        (f"{_MOUNTS}what_is_below_proc_cannot_be_mounted_over[False]",),
    ),
    Mutant(
        "nor below a /proc that is no proc file system",
        "rootfs/attach.py",
        'below = target.startswith("/proc/") or ',
        "below = ",
        (f"{_MOUNTS}what_is_below_proc_cannot_be_mounted_over[False]",),
    ),
    Mutant(
        "what mount(2) mounts is not below /proc either",
        "rootfs/filesystems.py",
        "    check_place(context, place, target)\n",
        "",
        (f"{_MOUNTS}what_is_below_proc_cannot_be_mounted_over[False]",),
    ),
    Mutant(
        "what mount(2) has mounted is what is changed afterwards",
        "rootfs/filesystems.py",
        "    if path_of(context, tree) != path_of(context, place):\n",
        "    if False:\n",
        (f"{_MOUNTS}a_place_that_the_mount_itself_leads_away",),
    ),
    Mutant(
        "files of /proc that may be covered are no links to others",
        "rootfs/binds.py",
        "links = target not in PROC_FILES",
        "links = True",
        (f"{_MOUNTS}what_may_be_covered_is_no_link_to_another",),
    ),
    Mutant(
        "nosuid is in force",
        "config/mount_flags.py",
        '("nosuid", "suid", MS_NOSUID, MOUNT_ATTR_NOSUID, ',
        '("nosuid", "suid", MS_NOSUID, MOUNT_ATTR_NODEV, ',
        (f"{_MOUNTS}nosuid_is_enforced",),
    ),
    Mutant(
        "nodev is in force",
        "config/mount_flags.py",
        '("nodev", "dev", MS_NODEV, MOUNT_ATTR_NODEV, ',
        '("nodev", "dev", MS_NODEV, MOUNT_ATTR_NOSUID, ',
        (f"{_MOUNTS}attributes_are_enforced",),
    ),
    Mutant(
        "attributes that are refused are no success",
        "rootfs/attach.py",
        '        mount_setattr("", dirfd=tree, flags=flags, attr_set=attr_set, attr_clr=attr_clr)\n'
        "    except OSError as error:\n"
        "        if error.errno != errno.ENOSYS:\n"
        "            raise\n"
        "        return False\n",
        '        mount_setattr("", dirfd=tree, flags=flags, attr_set=attr_set, attr_clr=attr_clr)\n'
        "    except OSError:\n"
        "        pass\n",
        (f"{_MOUNTS}options_of_a_tree_that_are_locked_are_refused",),
    ),
    Mutant(
        "what is not named of a bind is off",
        "rootfs/flags.py",
        "                attr_clr |= attribute\n    ",
        "                pass\n    ",
        (
            "tests/unit/test_rootfs.py::test_what_is_named_of_a_bind_is_all_that_it_has",
            f"{_MOUNTS}a_bind_has_the_options_that_are_named_and_no_others",
        ),
    ),
    Mutant(
        "an option that only takes away is named, too",
        "rootfs/flags.py",
        "if flags & ~_KIND or cleared:",
        "if flags & ~_KIND:",
        ("tests/unit/test_rootfs.py::test_what_is_named_of_a_bind_is_all_that_it_has",),
    ),
    Mutant(
        "an access time that is named is all there is of it",
        "rootfs/flags.py",
        "if flags & (_ATIME | MS_NODIRATIME):",
        "if flags & _ATIME:",
        ("tests/unit/test_rootfs.py::test_what_is_named_of_a_bind_is_all_that_it_has",),
    ),
    Mutant(
        "a destination that begins with the rootfs is inside it",
        "plan/container.py",
        "    config = _with_destinations(config)\n",
        "",
        (f"{_MOUNTS}a_destination_that_begins_with_the_rootfs_is_inside_it",),
    ),
    Mutant(
        "a path that only begins with the same letters is not inside",
        "config/mount.py",
        '(clean + "/").startswith(rootfs + "/")',
        "clean.startswith(rootfs)",
        (_RULES, f"{_MOUNTS}a_destination_that_begins_with_the_rootfs_is_inside_it"),
    ),
    Mutant(
        "unknown options of a cgroup mount are refused",
        "config/rules_rootfs.py",
        "        if unknown:\n",
        "        if False:\n",
        (_RULES,),
    ),
    Mutant(
        "what is named twice is covered once",
        "plan/masks.py",
        "found.setdefault(path, index)",
        "found[path + '/' * index] = index",
        (f"{_DEVICES}masked_paths", f"{_DEVICES}read_only_paths"),
    ),
    Mutant(
        "that rbind works is said where something is mounted below",
        "rootfs/refused.py",
        "any(at.parent == on.number and at.is_below(path) for at in points)",
        "False",
        (f"{_MOUNTS}a_plain_bind_of_what_has_something_below_says_that_rbind_works",),
    ),
    Mutant(
        "and not of what is unbindable",
        "rootfs/refused.py",
        "if on.bindable and",
        "if",
        (f"{_MOUNTS}so_does_a_bind_of_what_an_earlier_mount_has_made",),
    ),
    Mutant(
        "strictatime wins over noatime",
        "rootfs/flags.py",
        "    elif flags & MS_NOATIME:\n",
        "    if flags & MS_NOATIME:\n",
        ("tests/unit/test_rootfs.py::test_attributes",),
    ),
    Mutant(
        "what is locked stays, and the start goes on",
        "rootfs/attach.py",
        "            kept |= some\n",
        "            raise\n",
        (f"{_MOUNTS}what_a_user_namespace_has_locked_stays_with_a_warning",),
    ),
    Mutant(
        "what is locked keeps nothing else from being done",
        "rootfs/attach.py",
        "    for some in (*single, ATIME):\n",
        "    for some in (attr_clr,):\n",
        (f"{_MOUNTS}of_a_source_that_has_more_what_is_not_locked_goes",),
    ),
    Mutant(
        "what is set is set where something else is locked",
        "rootfs/attach.py",
        "    change(attr_set & ~ATIME, 0)\n",
        "",
        (f"{_MOUNTS}of_a_source_that_has_more_what_is_not_locked_goes",),
    ),
    Mutant(
        "only what was asked for is worth a warning",
        "rootfs/attach.py",
        "kept & asked)",
        "kept)",
        (f"{_MOUNTS}what_a_user_namespace_has_locked_stays_with_a_warning",),
    ),
    Mutant(
        "an old kernel keeps what is locked, too",
        "rootfs/attach.py",
        "        change_attached(context, tree, target, attr_set, attr_clr, asked)\n",
        "        remount_attached(context, tree, attr_set, attr_clr)\n",
        (f"{_OLD}what_a_user_namespace_has_locked_stays_with_a_warning",),
    ),
    Mutant(
        "so does a remount",
        "rootfs/mounts.py",
        "            change_attached(context, place, target, attr_set, attr_clr, asked)\n",
        "            pass\n",
        (f"{_OLD}what_a_user_namespace_has_locked_stays_with_a_warning",),
    ),
    Mutant(
        "an old kernel's remount keeps the flags that are there",
        "rootfs/attach.py",
        "if attr_set & attribute or (present & shown and not attr_clr & attribute):",
        "if attr_set & attribute:",
        (f"{_KERNEL}rootfs_old_kernel.py::test_attributes_of_mounts",),
    ),
    Mutant(
        "attributes of a whole tree of mounts are refused where they cannot be",
        "rootfs/attach.py",
        "    if not set_attributes(tree, rec_set, rec_clr, recursive=True):\n",
        "    if set_attributes(tree, rec_set, rec_clr, recursive=True) is None:\n",
        (f"{_KERNEL}rootfs_old_kernel.py::test_what_cannot_be_done_without_it_is_refused",),
    ),
    Mutant(
        "attributes of a whole tree reach the mounts below",
        "rootfs/attach.py",
        "flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)\n    try:\n",
        "flags = AT_EMPTY_PATH\n    try:\n",
        (f"{_MOUNTS}recursive_attributes_reach_the_mounts_below",),
    ),
    Mutant(
        "an id-mapped mount is no peer of the host's",
        "rootfs/idmapped.py",
        "        if slave:\n",
        "        if False:\n",
        (f"{_COPYUP}a_mapped_mount_is_no_peer_of_the_host_s",),
    ),
    Mutant(
        "an id-mapped mount becomes a slave unless mounts are to be shared",
        "plan/idmapped.py",
        "    slave = not config.root_propagation & MS_SHARED\n",
        "    slave = False\n",
        (f"{_COPYUP}a_mapped_mount_is_no_peer_of_the_host_s",),
    ),
    Mutant(
        "an unprivileged container cannot write to the host's groups (CVE-2023-25809)",
        "plan/cgroup_mounts.py",
        "        attr_set |= MOUNT_ATTR_RDONLY\n",
        "        pass\n",
        ("tests/unit/test_rootfs.py::test_an_ordinary_user_cannot_write_to_the_host_s_groups",),
    ),
    Mutant(
        "where no group can be shown none is",
        "rootfs/cgroup_mounts.py",
        "                tree = empty_tmpfs()\n",
        "                return\n",
        (f"{_CGROUP}where_none_can_be_shown_the_place_is_covered",),
    ),
    Mutant(
        "a directory of v1 hierarchies is read-only when it is complete",
        "plan/cgroup_mounts.py",
        "    if attr_set or after(mount) != _NOTHING:\n",
        "    if after(mount) != _NOTHING:\n",
        (f"{_CGROUP}v1_with_a_cgroup_namespace",),
    ),
    Mutant(
        "a node of the host is bound only where it is the device that was asked for",
        "rootfs/devices.py",
        "if stat.S_IFMT(found.st_mode) != kind or found.st_rdev != number:",
        "if False:",
        (f"{_DEVICES}fifos_and_missing_nodes_in_a_user_namespace",),
    ),
    Mutant(
        "/dev/ptmx is that of the container's devpts",
        "rootfs/devices.py",
        'if path == "/dev/ptmx" and _unlink(parent, name):',
        "if False:",
        (f"{_DEVICES}nodes_that_the_image_has_in_dev_are_replaced",),
    ),
    Mutant(
        "a /dev of the user's own is left alone",
        "plan/devices.py",
        'is_bind(mount) and inside(mount.destination) == "/dev" for',
        "False for",
        (f"{_DEVICES}a_dev_of_the_user_s_own_stays_as_it_is",),
    ),
    Mutant(
        "no device is made on a bind",
        "plan/devices.py",
        "        if below is not None and is_bind(below):\n",
        "        if False:\n",
        (f"{_DEVICES}no_device_or_link_gets_onto_a_bind_of_the_host",),
    ),
    Mutant(
        "devices and links are made in the /dev that was mounted",
        "rootfs/held.py",
        '        top = context.fds[_slot(base) if base else "root"]\n',
        '        top, base = context.fds["root"], ""\n',
        (f"{_DEVICES}no_device_or_link_gets_onto_a_bind_of_the_host",),
    ),
    Mutant(
        "no link of the image leads a device to another mount",
        "rootfs/held.py",
        "directory=True, mounts=False)",
        "directory=True)",
        (f"{_DEVICES}no_device_or_link_gets_onto_a_bind_of_the_host",),
    ),
    Mutant(
        "the owner of a node is given to what was made",
        "rootfs/devices.py",
        "        if (stat.S_IFMT(found.st_mode), found.st_rdev) != (kind, number):\n",
        "        if False:\n",
        (f"{_DEVICES}a_node_that_is_exchanged_while_it_is_made",),
    ),
    Mutant(
        "and to nothing that is mounted there",
        "rootfs/devices.py",
        '    if made < 0:\n        raise StepProblem(f"{name} was covered',
        "    if made < 0:\n"
        "        made = posix.open(name, posix.O_PATH, dir_fd=parent)\n"
        '    if made < 0:\n        raise StepProblem(f"{name} was covered',
        (f"{_DEVICES}a_node_that_is_exchanged_while_it_is_made",),
    ),
    Mutant(
        "directories that are missing are not made on another mount",
        "rootfs/paths.py",
        ', flags, mounts=allowed["mounts"])',
        ", flags)",
        (f"{_PATHS}nothing_is_made_on_another_mount",),
    ),
    Mutant(
        "what lies on a node of /dev is not bound over",
        "rootfs/held.py",
        "return open_in_root(parent, name, flags, mounts=False)",
        "return open_in_root(parent, name, flags)",
        (f"{_DEVICES}mounts_of_the_user_on_device_nodes_stay",),
    ),
    Mutant(
        "the last mount on a path is the one that it lies on",
        "plan/held.py",
        "found[0] > last[0]",
        "found[0] < last[0]",
        ("tests/unit/test_rootfs.py::test_which_mount_a_path_lies_on",),
    ),
    Mutant(
        "what is read-only at the end is the mount that was made",
        "rootfs/mounts.py",
        "posix.dup(mount) if mount >= 0 else open_in_root",
        "open_in_root",
        (f"{_DEVICES}what_is_read_only_at_the_end_is_what_was_mounted",),
    ),
    Mutant(
        "without a mount namespace nothing is made in /dev",
        "plan/devices.py",
        "    if not any(namespace.type == NEWNS for namespace in config.namespaces):\n",
        "    if False:\n",
        (f"{_ROOT}without_a_mount_namespace",),
    ),
    Mutant(
        "a sandbox sees what is mounted below as read-only as the rest",
        "rootfs/view.py",
        "set_attributes(tree, MOUNT_ATTR_RDONLY, 0, recursive=True)",
        "set_attributes(tree, MOUNT_ATTR_RDONLY, 0)",
        (f"{_VIEW}other_file_systems_come_along",),
    ),
    Mutant(
        "what a sandbox covers is not there at all",
        "rootfs/view.py",
        "        elif here in self.hidden:\n",
        "        elif False:\n",
        (f"{_VIEW}what_is_covered_is_not_there_at_all",),
    ),
    Mutant(
        "the layers of a view do not stay on its root",
        "rootfs/view.py",
        'umount2(f"/proc/self/fd/{self.layers}", MNT_DETACH)',
        "pass",
        (f"{_VIEW}the_way_up_from_the_root_leads_to_the_root",),
    ),
    Mutant(
        "sources are opened before a view lies on the root",
        "plan/root.py",
        "[*steps, *sources, *view_steps(config)]",
        "[*steps, *view_steps(config), *sources]",
        (f"{_VIEW}sources_may_lead_up_from_the_root",),
    ),
    Mutant(
        "what lies over the old root does not hide that from being detached",
        "rootfs/root.py",
        "    _detach_rest()\n",
        "",
        (f"{_VIEW}others_that_enter_have_the_same_root",),
    ),
    Mutant(
        "no overlay is made of what has mounts where we may not look",
        "rootfs/view.py",
        " and here not in self.parents:",
        ":",
        (f"{_VIEW}mounts_where_an_ordinary_user_may_not_look",),
    ),
    Mutant(
        "a home is left out of a directory that may only be passed",
        "rootfs/view.py",
        "return enter and _leads_to(here, self.hidden)",
        "return False",
        (f"{_VIEW}a_home_below_what_the_user_may_only_pass",),
    ),
    Mutant(
        "tmpcopyup goes only so deep",
        "rootfs/copyup.py",
        "if depth > _DEEPEST:",
        "if False:",
        (f"{_COPYUP}too_deep_a_tree",),
    ),
    Mutant(
        "tmpcopyup copies only what still is a file",
        "rootfs/copyup.py",
        "    if read < 0:\n        return False\n",
        "    if read < 0:\n"
        "        flags |= posix.O_NONBLOCK\n"
        "        read = posix.open(name, posix.O_RDONLY | flags, dir_fd=source)\n",
        (f"{_COPYUP}a_file_that_changes_while_it_is_copied",),
    ),
    Mutant(
        "tmpcopyup copies no more of a file than it had",
        "rootfs/copyup.py",
        "posix.SEEK_HOLE), size)",
        "posix.SEEK_HOLE), end + (1 << 40))",
        (f"{_COPYUP}a_file_that_grows_without_end_is_copied_as_it_was",),
    ),
    Mutant(
        "tmpcopyup enters no other file system",
        "rootfs/copyup.py",
        "                if found.st_dev != device:\n",
        "                if False:\n",
        (f"{_COPYUP}a_copy_is_like_the_original",),
    ),
    Mutant(
        "tmpcopyup changes no owner by a link",
        "rootfs/copyup.py",
        "posix.chown(name, found.st_uid, found.st_gid, dir_fd=copy, follow_symlinks=False)",
        "posix.chown(name, found.st_uid, found.st_gid, dir_fd=copy)",
        (f"{_COPYUP}what_links_lead_to_is_not_touched",),
    ),
    Mutant(
        "tmpcopyup changes no mode by a link",
        "rootfs/copyup.py",
        "    if not stat.S_ISLNK(found.st_mode):\n        posix.chmod(",
        "    if True:\n        posix.chmod(",
        (f"{_COPYUP}what_links_lead_to_is_not_touched",),
    ),
    Mutant(
        "tmpcopyup reads no file that a link leads to",
        "rootfs/copyup.py",
        "        found = posix.stat(name, dir_fd=source, follow_symlinks=False)\n",
        "        found = posix.stat(name, dir_fd=source)\n",
        (f"{_COPYUP}what_links_lead_to_is_not_touched",),
    ),
]

_ROOTS = [
    Mutant(
        "no mount of the container's reaches the host",
        "plan/root.py",
        '    steps = [propagate("/", first, why="linux.rootfsPropagation")]\n',
        "    steps: list[Step] = []\n",
        (f"{_ROOT}propagation_of_the_root",),
    ),
    Mutant(
        "first of all come mounts apart from the host's",
        "plan/root.py",
        '    return [*steps, bind_root(config.rootfs, why="root.path")]\n',
        '    return [bind_root(config.rootfs, why="root.path"), *steps]\n',
        (f"{_ROOT}a_rootfs_that_is_a_mount_point",),
    ),
    Mutant(
        "the mount that the rootfs is on is no shared one",
        "plan/root.py",
        "    if first & MS_SHARED:\n",
        "    if False:\n",
        (f"{_ROOT}a_rootfs_that_is_a_mount_point",),
    ),
    Mutant(
        "the root has its own propagation in the end",
        "plan/root.py",
        "    if propagation & (MS_SHARED | MS_UNBINDABLE) or propagation == MS_PRIVATE:\n",
        "    if False:\n",
        (f"{_ROOT}propagation_of_the_root",),
    ),
    Mutant(
        "the host's root is not left below",
        "rootfs/root.py",
        '    umount2(".", MNT_DETACH)\n    _detach_rest()\n',
        "",
        (f"{_ROOT}nothing_of_the_host_is_left[False]",),
    ),
    Mutant(
        "the old root goes without the host's going",
        "rootfs/root.py",
        '    mount("", ".", "", MS_SLAVE | MS_REC, "")\n    umount2(',
        "    umount2(",
        (f"{_ROOT}a_rootfs_that_is_a_mount_point",),
    ),
    Mutant(
        "it is the old root that becomes a slave",
        "rootfs/root.py",
        "        posix.fchdir(old)\n",
        "",
        (f"{_ROOT}shared_mounts_work_both_ways_where_it_is_asked_for",),
    ),
    Mutant(
        "without pivot_root the host's proc and sysfs are hidden",
        "rootfs/moved_root.py",
        "        _hide(point)\n",
        "        pass\n",
        (f"{_ROOT}without_pivot_root_no_unmasked_proc_can_be_mounted",),
    ),
    Mutant(
        "without pivot_root the host's sysfs is hidden",
        "rootfs/moved_root.py",
        'at.fstype in ("proc", "sysfs")',
        'at.fstype in ("proc",)',
        (f"{_ROOT}without_pivot_root_no_unmasked_proc_can_be_mounted[False]",),
    ),
    Mutant(
        "mounts that a user namespace locks are covered",
        "rootfs/moved_root.py",
        '        mount("tmpfs", point, "tmpfs", 0, "size=4k")\n',
        "        pass\n",
        (f"{_ROOT}without_pivot_root_no_unmasked_proc_can_be_mounted[True]",),
    ),
    Mutant(
        "hiding the host's proc does not take it from the host",
        "rootfs/moved_root.py",
        "        _change_mount_of(_above(point), MS_SLAVE)\n",
        "",
        (f"{_ROOT}a_rootfs_on_another_file_system_does_not_get_onto_the_host_s_root",),
    ),
    Mutant(
        "private mounts are refused without pivot_root",
        "config/rules_rootfs.py",
        "if config.no_pivot_root and propagation & MS_PRIVATE:",
        "if False:",
        (_RULES,),
    ),
    Mutant(
        "a container without a mount namespace has the rootfs as its root",
        "rootfs/chroot.py",
        '    posix.chroot(".")\n',
        "",
        (f"{_ROOT}without_a_mount_namespace",),
    ),
]

_CONSOLES = [
    Mutant(
        "the multiplexer is on a devpts (CVE-2025-52565)",
        "rootfs/console.py",
        "if not on_devpts or ",
        "if ",
        (f"{_CONSOLE}a_false_multiplexer",),
    ),
    Mutant(
        "the multiplexer is device 5:2",
        "rootfs/console.py",
        " or found.st_rdev != _PTMX:",
        ":",
        (f"{_CONSOLE}a_false_multiplexer",),
    ),
    Mutant(
        "no link is taken for the multiplexer",
        "rootfs/console.py",
        '"/dev/pts/ptmx", posix.O_PATH | posix.O_NOFOLLOW)',
        '"/dev/pts/ptmx", posix.O_PATH)',
        (f"{_CONSOLE}a_false_multiplexer",),
    ),
    Mutant(
        "the terminal is got from its master and not by a path",
        "rootfs/console.py",
        "peer = open_peer(master, posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC)",
        'peer = posix.open("/dev/pts/0", posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC)',
        (f"{_CONSOLE}what_the_image_has_in_the_place_of_the_terminal",),
    ),
    Mutant(
        "the host's /dev/console is not mounted over",
        "plan/container.py",
        "apart = any(space.type == NEWNS for space in config.namespaces)",
        "apart = True",
        (f"{_CONSOLE}without_a_mount_namespace_no_console_is_bound",),
    ),
]

_CAPABILITIES = [
    Mutant(
        "the bounding set is cut down",
        "security/capabilities.py",
        "            capbset_drop(number)\n",
        "            pass\n",
        (f"{_SECURITY}root_keeps_what_is_listed",),
    ),
    Mutant(
        "a bounding set that cannot be cut down is no success",
        "security/capabilities.py",
        "            if _in_bounding(number):\n                raise\n",
        "",
        (f"{_SECURITY}the_bounding_set_needs_cap_setpcap_only_for_what_is_in_it",),
    ),
    Mutant(
        "capabilities are kept over the change of user only",
        "plan/capabilities.py",
        "        keep_capabilities(0, why=place),\n",
        "",
        (f"{_SECURITY}no_later_change_of_user_keeps_capabilities",),
    ),
    Mutant(
        "capabilities that are configured outlive the change of user",
        "plan/capabilities.py",
        "        keep_capabilities(1, why=place),\n",
        "",
        (f"{_SECURITY}ambient_capabilities_reach_the_program_of_an_ordinary_user",),
    ),
    Mutant(
        "nothing is inheritable but what is listed (CVE-2022-29162)",
        "security/capabilities.py",
        "capset(effective, permitted, inheritable)",
        "capset(effective, permitted, permitted)",
        (f"{_SECURITY}ambient_capabilities_reach_the_program_of_an_ordinary_user",),
    ),
    Mutant(
        "nothing is permitted but what is listed",
        "security/capabilities.py",
        "    capset(effective, permitted, inheritable)\n",
        "    pass\n",
        (f"{_SECURITY}root_keeps_what_is_listed",),
    ),
    Mutant(
        "the caller's ambient capabilities are no container's",
        "security/capabilities.py",
        "    cap_ambient_clear_all()\n",
        "",
        (f"{_SECURITY}the_callers_ambient_capabilities_are_cleared",),
    ),
    Mutant(
        "ambient capabilities come after those that they need",
        "plan/capabilities.py",
        f"{_SET}{_AMBIENT}",
        f"{_AMBIENT}{_SET}",
        (f"{_SECURITY}ambient_capabilities_reach_the_program_of_an_ordinary_user",),
    ),
    Mutant(
        "no list of capabilities is none",
        "plan/capabilities.py",
        "        return Masks()\n",
        '        masks = Masks()\n        masks.permitted = 1 << CAPABILITIES["CAP_KILL"]\n'
        "        return masks\n",
        (f"{_SECURITY}nothing_is_kept_without_a_list",),
    ),
    Mutant(
        "no_new_privs is set",
        "security/capabilities.py",
        "    set_no_new_privs()\n",
        "    pass\n",
        (f"{_SECURITY}no_new_privileges",),
    ),
    Mutant(
        "no_new_privs of the configuration holds for all processes",
        "plan/process.py",
        "    return bool(config.no_new_privileges if asked is None else asked)\n",
        "    return bool(asked)\n",
        (f"{_EXEC}capabilities_limits_and_privileges",),
    ),
]

_PROCESSES = [
    Mutant(
        "the plan names /etc/group where it is read",
        "plan/users.py",
        "return any(name and not (name.isascii() and name.isdigit()) for name in names)",
        "return False",
        (
            f"{_USERS}the_plan_tells_which_files_are_read",
            f"{_KERNEL}traps.py::test_no_file_is_looked_at_that_the_plan_does_not_name",
        ),
    ),
    Mutant(
        "a number is a user's and never a name (CVE-2016-3697)",
        "security/users.py",
        "    if uid is None:\n        entry = _find(users, person)\n",
        "    if _find(users, person):\n        entry = _find(users, person)\n",
        (f"{_USERS}users",),
    ),
    Mutant(
        "a number is a group's and never a name",
        "security/users.py",
        "    number = _number(group)\n    if number is None:\n        entry = _find(",
        "    number = None\n    if number is None:\n        entry = _find(",
        (f"{_USERS}users",),
    ),
    Mutant(
        "the id that leaves all as it is, is none",
        "security/users.py",
        "_MOST_ID = (1 << 32) - 2",
        "_MOST_ID = (1 << 32) - 1",
        (f"{_USERS}bad_users_are_refused",),
    ),
    Mutant(
        "only ASCII digits make a number",
        "security/users.py",
        "if not (text.isascii() and text.isdigit()):",
        "if not text.isdigit():",
        (f"{_USERS}bad_users_are_refused",),
    ),
    Mutant(
        "an id that is none in the files is not root's",
        "security/users.py",
        "    except (UnicodeDecodeError, StepProblem):\n        return None\n",
        "    except (UnicodeDecodeError, StepProblem):\n        return 0\n",
        (f"{_USERS}bad_users_are_refused",),
    ),
    Mutant(
        "groups are those that list the user's whole name",
        "security/users.py",
        'wanted in entry[3].split(b",")',
        "wanted in entry[3]",
        (f"{_USERS}users",),
    ),
    Mutant(
        "files of users are of a bounded size",
        "security/users.py",
        "    if len(text) > _MOST_BYTES:\n",
        "    if False:\n",
        (f"{_USERS}only_regular_files_of_a_bounded_size_are_read",),
    ),
    Mutant(
        "what is in the place of the users refuses no number",
        "security/users.py",
        "        if uid is None:\n            raise\n",
        "        raise\n",
        (f"{_USERS}only_regular_files_of_a_bounded_size_are_read",),
    ),
    Mutant(
        "only regular files of an image are read",
        "rootfs/files.py",
        "if not stat.S_ISREG(posix.fstat(place).st_mode) or ",
        "if ",
        (f"{_USERS}only_regular_files_of_a_bounded_size_are_read",),
    ),
    Mutant(
        "no file of procfs is read for one of the image",
        "rootfs/files.py",
        " or fstatfs(place).type == PROC_SUPER_MAGIC:",
        ":",
        (f"{_EXEC}the_head_of_a_program_is_that_of_a_file",),
    ),
    Mutant(
        "what is no null device is not opened for one",
        "bootstrap/descriptors.py",
        "            if not stat.S_ISCHR(found.st_mode) or found.st_rdev != _NULL:\n"
        "                return\n",
        "",
        (f"{_DEVICES}what_is_no_null_device_is_not_opened_for_one",),
    ),
    Mutant(
        "a file of an image is read up to a bound",
        "rootfs/files.py",
        "            most -= len(part)\n",
        "",
        (f"{_EXEC}the_head_of_a_program_is_that_of_a_file",),
    ),
    Mutant(
        "a command is a regular file",
        "bootstrap/execute.py",
        "    if not stat.S_ISREG(found.st_mode):\n        return errno.EACCES",
        "    if False:\n        return errno.EACCES",
        (f"{_EXEC}a_fifo_or_a_device_as_the_command_holds_nobody_up",),
    ),
    Mutant(
        "check -b executes regular files alone",
        "cli/check_command.py",
        "if not (stat.S_ISREG(found.st_mode) and found.st_mode & 0o111):",
        "if not found.st_mode & 0o111:",
        (f"{_KERNEL}cli_check.py::test_what_would_keep_it_from_starting",),
    ),
    Mutant(
        "the caller's supplementary groups are given up",
        "security/users.py",
        "            setgroups(groups)\n",
        "            pass\n",
        (f"{_SECURITY}a_process_becomes_the_user_of_the_containers_files",),
    ),
    Mutant(
        "the caller's supplementary groups are kept only where it is asked for",
        "plan/users.py",
        '    if f"{KEEP_GROUPS}=1" not in config.labels:\n',
        "    if not config.labels:\n",
        (f"{_EXEC}the_callers_groups_may_be_kept",),
    ),
    Mutant(
        "groups that are not allowed are refused",
        "security/users.py",
        "        if groups:\n",
        "        if False:\n",
        (f"{_SECURITY}groups_stay_where_the_namespace_denies_to_set_them",),
    ),
    Mutant(
        "groups are not kept where setting them has failed for another reason",
        "security/users.py",
        '        if may_set_groups(context.fds["proc"]):\n',
        "        if False:\n",
        (f"{_SECURITY}groups_that_cannot_be_set_are_an_error",),
    ),
    Mutant(
        "groups come before the user",
        "security/users.py",
        "    try:\n"
        "        setresgid(gid, gid, gid)\n"
        "    except OSError as error:\n"
        '        _refuse_unmapped(error, "group", gid)\n'
        "        raise\n"
        "    try:\n"
        "        setresuid(uid, uid, uid)\n"
        "    except OSError as error:\n"
        '        _refuse_unmapped(error, "user", uid)\n'
        "        raise\n",
        "    try:\n"
        "        setresuid(uid, uid, uid)\n"
        "    except OSError as error:\n"
        '        _refuse_unmapped(error, "user", uid)\n'
        "        raise\n"
        "    try:\n"
        "        setresgid(gid, gid, gid)\n"
        "    except OSError as error:\n"
        '        _refuse_unmapped(error, "group", gid)\n'
        "        raise\n",
        (f"{_SECURITY}a_process_becomes_the_user_of_the_containers_files",),
    ),
    Mutant(
        "the null device stays everybody's",
        "security/users.py",
        "        if null or found.st_uid == uid:\n",
        "        if found.st_uid == uid:\n",
        (f"{_SECURITY}the_standard_streams_become_the_users_but_for_the_null_device",),
    ),
    Mutant(
        "hard limits are raised before the change of user",
        "plan/process.py",
        _BECOME_USER,
        _earlier(_BECOME_USER, "set_own_rlimit"),
        (f"{_PLAN}rights_are_dropped_in_order",),
    ),
    Mutant(
        "scheduling is set before the change of user",
        "plan/process.py",
        _BECOME_USER,
        _earlier(_BECOME_USER, "set_scheduler"),
        (f"{_EXEC}scheduling_is_set_before_the_rights_for_it_go",),
    ),
    Mutant(
        "the bounding set is cut down before the change of user",
        "plan/process.py",
        _BECOME_USER,
        _earlier(_BECOME_USER, "drop_bounding"),
        (f"{_EXEC}user_groups_and_home",),
    ),
    Mutant(
        "limits in a user namespace are set from outside",
        "plan/process.py",
        "limits.rlimit_steps(rlimits, own=False) if in_user else []\n",
        "[]\n",
        (f"{_EXEC}limits_in_a_user_namespace_are_set_from_outside",),
    ),
    Mutant(
        "the working directory is verified (CVE-2024-21626)",
        "plan/process.py",
        '[execute.verify_directory(process.cwd, why="process.cwd")]',
        "[]",
        (f"{_INVARIANTS}nor_is_one_that_is_passed_along",),
    ),
    Mutant(
        "the signal of the parent's death is set again after the change of user",
        "plan/container.py",
        "[*death_signal_steps(config), *wait]",
        "wait",
        (f"{_NAMESPACES}it_dies_with_its_parent[kinds0]",),
    ),
    Mutant(
        "streams become the user's while there are rights to give them away",
        "plan/process.py",
        '    plan.add(who, "process", [users.own_stdio(why="process.user")])\n'
        '    plan.add(who, "process", [users.become_user(why="process.user")])\n',
        '    plan.add(who, "process", [users.become_user(why="process.user")])\n'
        '    plan.add(who, "process", [users.own_stdio(why="process.user")])\n',
        (f"{_EXEC}streams_go_where_they_are_sent",),
    ),
    Mutant(
        "the command is looked for as the user that runs it",
        "plan/process.py",
        _FIND_COMMAND,
        _earlier(_FIND_COMMAND, "become_user"),
        (f"{_EXEC}commands_are_looked_up_as_the_user_that_runs_them",),
    ),
]

_ORDER = [
    Mutant(
        "mounts are made while the host's files can be their sources",
        "plan/container.py",
        _ENTER,
        _earlier(_ENTER, "mount_filesystem"),
        (f"{_MOUNTS}binds_make_their_targets",),
    ),
    Mutant(
        "hooks of the runtime find the mounts made",
        "plan/container.py",
        _CREATE_HOOKS,
        _earlier(_CREATE_HOOKS, "mount_filesystem"),
        (f"{_KERNEL}hooks.py::test_limits_are_in_force_and_mounts_made",),
    ),
    Mutant(
        "hooks of the runtime find the limits in force",
        "plan/container.py",
        _CREATE_HOOKS,
        _earlier(_CREATE_HOOKS, "cgroup_write"),
        (f"{_PLAN}hooks_have_their_place_and_arguments",),
    ),
    Mutant(
        "hooks in the container find the host's files still there",
        "plan/container.py",
        _ENTER,
        _earlier(_ENTER, "container_hook"),
        (f"{_KERNEL}hooks.py::test_all_kinds_in_order_each_in_its_place",),
    ),
    Mutant(
        "hooks in the container find the mounts made",
        "plan/container.py",
        _CONTAINER_HOOKS,
        _earlier(_CONTAINER_HOOKS, "mount_filesystem"),
        (f"{_KERNEL}hooks.py::test_limits_are_in_force_and_mounts_made",),
    ),
    Mutant(
        "a tmpfs asked to be read-only is read-only in the end",
        "plan/container.py",
        _READ_ONLY,
        "",
        (f"{_MOUNTS}a_read_only_tmpfs_is_filled_first",),
    ),
    Mutant(
        "a read-only tmpfs begins writable, for what it is filled with",
        "plan/mounts.py",
        "    if read_only_late(mount, target):\n        flags",
        "    if False:\n        flags",
        (f"{_MOUNTS}a_read_only_tmpfs_is_filled_first",),
    ),
    Mutant(
        "a tmpfs is filled before it is read-only",
        "plan/container.py",
        _READ_ONLY,
        _earlier(_READ_ONLY, "bind"),
        (f"{_MOUNTS}a_read_only_tmpfs_is_filled_first",),
    ),
    Mutant(
        "devices are made before /dev is read-only",
        "plan/container.py",
        _READ_ONLY,
        _earlier(_READ_ONLY, "make_device"),
        (f"{_MOUNTS}a_read_only_tmpfs_is_filled_first",),
    ),
    Mutant(
        "the console is made before /dev is read-only",
        "plan/container.py",
        _READ_ONLY,
        _earlier(_READ_ONLY, "make_console"),
        (f"{_CONSOLE}a_terminal_where_all_is_read_only",),
    ),
    Mutant(
        "the console is made before the root is read-only",
        "plan/container.py",
        _READ_ONLY_ROOT,
        _earlier(_READ_ONLY_ROOT, "make_console"),
        (f"{_CONSOLE}a_terminal_where_all_is_read_only",),
    ),
    Mutant(
        "the working directory is made before the root is read-only",
        "plan/container.py",
        _READ_ONLY_ROOT,
        _earlier(_READ_ONLY_ROOT, "make_directory"),
        (f"{_ROOT}a_read_only_root",),
    ),
    Mutant(
        "the root is read-only",
        "plan/container.py",
        _READ_ONLY_ROOT,
        "",
        (f"{_ROOT}a_read_only_root",),
    ),
    Mutant(
        "parameters are written before /proc/sys is read-only",
        "plan/container.py",
        _READ_ONLY_PATHS,
        _earlier(_READ_ONLY_PATHS, "write_sysctl"),
        (f"{_PLAN}sysctls_are_written_before_they_are_read_only",),
    ),
    Mutant(
        "read-only paths are those of the mounts that were made",
        "plan/container.py",
        _READ_ONLY_PATHS,
        _earlier(_READ_ONLY_PATHS, "mount_filesystem"),
        (f"{_DEVICES}read_only_paths",),
    ),
    Mutant(
        "masks cover what was mounted",
        "plan/container.py",
        _MASKED_PATHS,
        _earlier(_MASKED_PATHS, "mount_filesystem"),
        (f"{_DEVICES}masked_paths",),
    ),
    Mutant(
        "masks find /dev/null made",
        "plan/container.py",
        _MASKED_PATHS,
        _earlier(_MASKED_PATHS, "make_device"),
        (f"{_DEVICES}masked_paths",),
    ),
    Mutant(
        "a lower OOM score than the runtime's is set by the runtime",
        "plan/container.py",
        f"    if privileged:\n{_RUNTIME_SCORE}\n{_OPEN_PROC}    if not privileged:\n",
        f"{_OPEN_PROC}    if True:\n",
        (f"{_NAMESPACES}the_oom_score",),
    ),
    Mutant(
        "an ordinary user's process sets its score while the file is its user's",
        "plan/container.py",
        _ENTRY,
        _earlier(_ENTRY, "set_own_oom_score_adj"),
        (f"{_PLAN}an_ordinary_users_process_hides_before_others_can_see_it",),
    ),
    Mutant(
        "an ordinary user's first process hides",
        "plan/container.py",
        '    if host.euid != 0:\n        plan.add(who, "identity", [ns.make_undumpable()])\n',
        "",
        (f"{_PLAN}an_ordinary_users_process_hides_before_others_can_see_it",),
    ),
    Mutant(
        "the host's /proc is held before another mount namespace hides it",
        "plan/container.py",
        '        plan.add(STAGE, "join", [open_proc(), *start, *shared, *lend])\n' + _STAGED,
        _STAGED + '        plan.add(STAGE, "join", [open_proc(), *start, *shared, *lend])\n',
        (f"{_NAMESPACES}a_mount_namespace_without_a_proc_is_joined_by_path",),
    ),
    Mutant(
        "sources of mounts are opened with the host's rights",
        "plan/container.py",
        "    if privileged and flags & CLONE_NEWNS:\n",
        "    if False:\n",
        (f"{_MOUNTS}a_source_that_a_joined_user_namespace_may_not_enter",),
    ),
    Mutant(
        "a source that an earlier mount makes is opened after that",
        "plan/mounts.py",
        "    return source.startswith(rootfs) or",
        "    return False and",
        (
            f"{_MOUNTS}sources_that_earlier_mounts_make",
            f"{_MOUNTS}an_ordinary_user_s_sources_that_earlier_mounts_make",
            "tests/unit/test_rootfs.py::test_sources_that_earlier_mounts_may_make_are_opened_late",
        ),
    ),
    Mutant(
        "so is what has the rootfs in it",
        "plan/mounts.py",
        " or (bool(mount.flags & MS_REC) and rootfs.startswith(source))",
        "",
        (f"{_MOUNTS}sources_that_earlier_mounts_make",),
    ),
    Mutant(
        "where there is no user namespace, what is mapped is lent for it",
        "plan/mounts.py",
        "        if everything or late:\n",
        "        if everything:\n",
        (f"{_MOUNTS}sources_that_earlier_mounts_make",),
    ),
    Mutant(
        "a lender is not asked before it has been told by its cloner",
        "bootstrap/lending.py",
        "            if not self._begun and not self._receive():\n                return -1\n",
        "",
        (f"{_NAMESPACES}who_lends_late_is_told_by_its_cloner_first",),
    ),
    Mutant(
        "a lender opens what is late when it is asked to",
        "bootstrap/lending.py",
        "            channel.receive()  # EOFError: nobody needs it any more\n",
        "",
        (f"{_MOUNTS}sources_that_earlier_mounts_make",),
    ),
    Mutant(
        "who has cloned a lender waits for its end, be it late",
        "bootstrap/performer.py",
        '                    context.values["lender"].dismiss()\n',
        "                    pass\n",
        (f"{_NAMESPACES}who_lends_late_has_ended_when_the_container_runs",),
    ),
    Mutant(
        "sources of mounts are opened as the caller",
        "plan/container.py",
        "    steps += sources\n"
        "    if mapped:\n"
        '        steps.append(ns.become_root(why="linux.uidMappings"))\n',
        "    if mapped:\n"
        '        steps.append(ns.become_root(why="linux.uidMappings"))\n'
        "    steps += sources\n",
        (f"{_NAMESPACES}an_ordinary_user_mounts_what_only_he_may_enter",),
    ),
    Mutant(
        "the cgroup namespace begins at the container's group",
        "plan/container.py",
        _IDENTITY,
        _earlier(_IDENTITY, "cgroup_enter"),
        (f"{_CGROUP}v1_with_a_cgroup_namespace",),
    ),
    Mutant(
        "a network namespace is ready only for who can return from it",
        "plan/container.py",
        "not (new_user or staged or host.userns)",
        "not (new_user or staged)",
        (f"{_PLAN}a_network_namespace_is_ready_only_for_who_can_return_from_it",),
    ),
    Mutant(
        "the groups are there before there is a process to limit",
        "plan/container.py",
        _CLONE,
        _earlier(_CLONE, "cgroup_mkdir"),
        (f"{_PLAN}a_container_is_in_its_groups_before_it_does_anything",),
    ),
    Mutant(
        "a container that is not whole is not created",
        "plan/container.py",
        "    waits = hold or late or config.hooks is not None or config.landlock is not None\n",
        "    waits = late or config.hooks is not None\n",
        (f"{_EXEC}a_command_that_is_missing_makes_no_container",),
    ),
    Mutant(
        "the routes come after the links",
        "plan/network.py",
        '            steps.append(up(why=f"linux.namespaces[{index}]"))\n',
        "            pass\n",
        (
            "tests/unit/test_network.py::test_loopback_comes_up_in_a_new_network_namespace_and_before_the_routes",
        ),
    ),
    Mutant(
        "who waits, or runs a hook, has nothing of the host's open",
        "plan/container.py",
        '        add_filter(plan, INIT, *filtered)\n        plan.add(INIT, "process", close)\n',
        "        add_filter(plan, INIT, *filtered)\n",
        (
            f"{_KERNEL}waiting.py::test_it_waits_without_any_directory_open",
            f"{_KERNEL}hooks.py::test_the_first_process_has_nothing_of_the_host_while_a_hook_runs_inside",
        ),
    ),
    Mutant(
        "who waits for the start has nothing open that hooks have written to",
        "bootstrap/descriptors.py",
        "(START, ANSWER, *HOOK_OUTPUT) if hooks else (START, ANSWER)",
        "(START, ANSWER, *HOOK_OUTPUT)",
        (f"{_KERNEL}hooks.py::test_who_waits_for_the_start_has_no_output_of_hooks_open",),
    ),
    Mutant(
        "who waits for the start has the output open of the hooks that it is to run",
        "bootstrap/descriptors.py",
        "(START, ANSWER, *HOOK_OUTPUT) if hooks else (START, ANSWER)",
        "(START, ANSWER)",
        (f"{_KERNEL}hooks.py::test_who_waits_for_the_start_has_no_output_of_hooks_open",),
    ),
    Mutant(
        "a further process is in the groups before it is in the namespaces",
        "plan/further.py",
        _JOIN,
        _earlier(_JOIN, "cgroup_enter"),
        (f"{_PLAN}a_further_process_has_its_score_and_groups_before_it_joins",),
    ),
    Mutant(
        "a further process has its score before it loses the rights for it",
        "plan/further.py",
        _JOIN,
        _earlier(_JOIN, "set_own_oom_score_adj"),
        (f"{_PLAN}a_further_process_has_its_score_and_groups_before_it_joins",),
    ),
    Mutant(
        "an ordinary user's further process hides before it joins (CVE-2016-9962)",
        "plan/further.py",
        "[ns.make_undumpable()] if host.euid != 0 else []",
        "[]",
        (f"{_PLAN}an_ordinary_users_process_hides_before_others_can_see_it",),
    ),
    Mutant(
        "a further process has the root of the first",
        "plan/further.py",
        'enter = open_root("/") if flags & CLONE_NEWNS else change_root()',
        'enter = open_root("/")',
        (f"{_EXEC}it_is_in_all_namespaces_of_the_first[pids]",),
    ),
    Mutant(
        "what others see in a pid namespace is the command in all but its memory",
        "plan/further.py",
        "    who = STAGE if staged else INIT\n",
        "    who = INIT\n",
        (f"{_PLAN}what_others_see_in_a_pid_namespace_is_the_command",),
    ),
    Mutant(
        "a further process joins the keyring of the container",
        "plan/further.py",
        '    plan.add(who, "identity", keyring_steps(config, process, container_id, new=False))\n',
        "",
        (f"{_EXEC}it_has_the_keyring_of_the_first",),
    ),
    Mutant(
        "a container has a keyring of its own",
        "plan/container.py",
        '    plan.add(who, "identity", keys)\n',
        "",
        (f"{_NAMESPACES}a_keyring_of_its_own",),
    ),
    Mutant(
        "a process is in a session of its own",
        "plan/container.py",
        "[ns.new_session(), *own]",
        "own",
        (f"{_NAMESPACES}a_session_of_its_own",),
    ),
]

_FILES_OF_PROC = [
    Mutant(
        "a user namespace is known by what it is, not by its maps",
        "syscalls/userns.py",
        '        return posix.stat("/proc/self/ns/user").st_ino != _FIRST\n',
        '        return open("/proc/self/uid_map").read().split() != ["0", "0", "4294967295"]\n',
        (f"{_NAMESPACES}a_user_namespace_that_has_all_ids_as_they_are_is_one",),
    ),
    Mutant(
        "what is written below /proc is on no other mount (CVE-2025-52881)",
        "attributes/procfs.py",
        "RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV",
        "RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS",
        (f"{_ATTRIBUTES}nothing_stands_in_for_a_parameter",),
    ),
    Mutant(
        "no link leads to what is written below /proc",
        "attributes/procfs.py",
        "_RESOLVE | RESOLVE_NO_SYMLINKS",
        "_RESOLVE",
        (f"{_ATTRIBUTES}a_parameter_is_not_reached_through_links",),
    ),
    Mutant(
        "what is written below /proc is of a proc file system",
        "attributes/procfs.py",
        "    if fstatfs(fd).type != PROC_SUPER_MAGIC:\n",
        "    if False:\n",
        (f"{_ATTRIBUTES}a_file_of_another_file_system_is_none_of_proc",),
    ),
    Mutant(
        "the host's /proc is one",
        "attributes/procfs.py",
        "    if not is_whole_proc(proc):\n",
        "    if False:\n",
        (f"{_ATTRIBUTES}nothing_stands_in_for_a_parameter",),
    ),
    Mutant(
        "a file system with a root like that of /proc is none",
        "attributes/procfs.py",
        "fstatfs(fd).type == PROC_SUPER_MAGIC and ",
        "",
        (f"{_ATTRIBUTES}nothing_stands_in_for_a_parameter",),
    ),
    Mutant(
        "limits are the process's own",
        "attributes/limits.py",
        "    _set_rlimit(context.pid, number, soft, hard)\n",
        "    _set_rlimit(0, number, soft, hard)\n",
        (f"{_ATTRIBUTES}the_runtime_limits_the_process_it_has_cloned",),
    ),
    Mutant(
        "a hard limit is one",
        "attributes/limits.py",
        "prlimit(pid, number, soft, hard)",
        "prlimit(pid, number, soft, (1 << 64) - 1)",
        (f"{_ATTRIBUTES}a_process_limits_itself",),
    ),
    Mutant(
        "a process hides again when it has set its score",
        "attributes/limits.py",
        "        if hidden:\n            set_dumpable(False)\n",
        "        pass\n",
        (f"{_ATTRIBUTES}an_ordinary_users_process_sets_its_own_oom_score",),
    ),
    Mutant(
        "the keyring can be searched by who joins it later",
        "security/keyring.py",
        "    if permission:\n",
        "    if False:\n",
        (f"{_SECURITY}the_keyring_is_shared_by_name",),
    ),
    Mutant(
        "an answer for another request is none",
        "network/rtnetlink.py",
        "                if sequence != self._sequence:\n",
        "                if False:\n",
        (f"{_KERNEL}network_steps.py::test_an_answer_that_comes_late_is_not_taken_for_another",),
    ),
]


def _rule(claim: str, file: str, old: str, new: str, test: str = _RULES) -> Mutant:
    return Mutant(claim, f"config/rules_{file}.py", old, new, (test,))


_CONFIGURATIONS = [
    _rule(
        "a parameter of no namespace is the host's, and refused",
        "namespaces",
        '        return "does not belong to a namespace, so it would be the host\'s"\n',
        '        return ""\n',
    ),
    _rule(
        "a parameter needs the namespace that it belongs to",
        "namespaces",
        "    if find(config, needed) is None:\n",
        "    if False:\n",
    ),
    _rule(
        "a network namespace that is joined is not the host's, where parameters are set",
        "namespaces",
        "if namespace and namespace.path and facts.is_own_namespace(namespace.path, NEWNET):",
        "if False:",
    ),
    Mutant(
        "a parameter is below /proc/sys",
        "config/sysctl.py",
        'any(part in ("", ".", "..") for part in path.split("/"))',
        "False",
        ("tests/unit/test_attributes.py::test_a_key_that_is_no_path_below_sys_is_refused",),
    ),
    _rule(
        "the host's name is not changed",
        "namespaces",
        "            if find(config, NEWUTS) is None:\n",
        "            if False:\n",
    ),
    _rule(
        "the host's routes are not changed",
        "namespaces",
        "        if items and not private:\n",
        "        if False:\n",
    ),
    _rule(
        "the host's network devices are moved into a namespace",
        "namespaces",
        "    if find(config, NEWNET) is None:\n",
        "    if False:\n",
    ),
    _rule(
        "an ordinary user's container has a user namespace",
        "namespaces",
        "    if find(config, NEWUSER) is None:\n",
        "    if False:\n",
    ),
    _rule(
        "a new user namespace has mappings",
        "namespaces",
        "        elif not mappings and namespace is not None and not namespace.path:\n",
        "        elif False:\n",
    ),
    _rule(
        "mounts are not made on the host",
        "rootfs",
        "if config.mounts and find(config, NEWNS) is None:",
        "if False:",
    ),
    _rule(
        "devices are not made on the host",
        "rootfs",
        "if config.devices and find(config, NEWNS) is None:",
        "if False:",
    ),
    _rule(
        "the host's files are not masked",
        "rootfs",
        "        if paths and namespace is None:\n",
        "        if False:\n",
    ),
    _rule(
        "the host's root is not made read-only",
        "rootfs",
        "if config.readonlyfs and find(config, NEWNS) is None:",
        "if False:",
    ),
    _rule(
        "the propagation of the host's root is not changed",
        "rootfs",
        "        if find(config, NEWNS) is None:\n            findings.append(Finding(place",
        "        if False:\n            findings.append(Finding(place",
    ),
    _rule(
        "a mount on the root is refused",
        "rootfs",
        'if destination_inside(rootfs, path) == "/":',
        "if False:",
    ),
    _rule(
        "an ordinary user cannot map ids of a mount",
        "rootfs",
        "    if config.rootless_euid:\n",
        "    if False:\n",
    ),
    _rule(
        "there is one namespace of a kind",
        "namespaces",
        "        if kind in seen:\n",
        "        if False:\n",
    ),
    _rule(
        "the root of a hierarchy is no container's group",
        "cgroup",
        'if cgroup.path and not cgroup.path.strip("/."):',
        "if False:",
        "tests/unit/test_config_validate.py::test_rules_of_control_groups",
    ),
    _rule(
        "a class of resctrl is a directory of its own",
        "cgroup",
        'if name in (".", "..") or ("/" in name and name != "/"):',
        "if False:",
        "tests/unit/test_config_validate.py::test_rules_of_resctrl",
    ),
    _rule(
        "a user's name is one",
        "process",
        """if not item or item[0] in "+-" or any(at in ":,/\\0" or at.isspace() for at in item):""",
        "if not item:",
        "tests/unit/test_config_process.py::test_bad_users",
    ),
    _rule(
        "a user is mapped",
        "process",
        "        if number is not None and mapped and not is_mapped(number, mappings):\n",
        "        if False:\n",
        "tests/unit/test_config_process.py::test_ids_must_be_mapped_in_a_new_user_namespace",
    ),
    Mutant(
        "no text ends at a NUL in it",
        "config/texts.py",
        '    if "\\0" in text:\n',
        "    if False:\n",
        (_RULES,),
    ),
    Mutant(
        "true is no number",
        "oci/reader.py",
        "if type(value) is not int:",
        "if not isinstance(value, int):",
        (f"{_LOAD}mistakes_are_found_all_at_once",),
    ),
    Mutant(
        "a number that does not fit is refused (CVE-2026-30892)",
        "oci/reader.py",
        "elif not limits[0] <= value <= limits[1]:",
        "elif False:",
        (f"{_LOAD}mistakes_are_found_all_at_once",),
    ),
    Mutant(
        "a name that is not known is refused",
        "oci/reader.py",
        "            self.problem(key, unknown(name, names, what))\n        return default\n",
        "            pass\n        return default\n",
        (f"{_LOAD}mistakes_are_found_all_at_once",),
    ),
    Mutant(
        "a huge config.json is not read",
        "oci/bundle.py",
        "if len(text) > _LARGEST:",
        "if False:",
        (f"{_LOAD}a_huge_file_is_not_read",),
    ),
    Mutant(
        "no path of a group leads above the root of its hierarchy",
        "oci/load.py",
        'below = normal("/" + path.lstrip("/"))',
        "below = path",
        (f"{_LOAD}paths_of_cgroups",),
    ),
    Mutant(
        "the root of a hierarchy is no container's, however it is written",
        "oci/load.py",
        '        if below == "/":\n',
        "        if False:\n",
        (f"{_LOAD}the_root_cgroup_is_refused",),
    ),
    Mutant(
        "paths that are to be masked are",
        "oci/load.py",
        'fields["mask_paths"] = linux.strings("maskedPaths")',
        'fields["mask_paths"] = []',
        (f"{_LOAD}every_field_of_the_spec",),
    ),
    Mutant(
        "of two options for a mount the last one counts",
        "oci/mount_options.py",
        "            mount.cleared_flags &= ~SET_FLAGS[option]\n",
        "",
        ("tests/unit/test_oci_mount_options.py::test_options",),
    ),
    Mutant(
        "a further process is root by its user alone",
        "oci/load_process.py",
        'arguments["user"] = f"{uid}:{gid}"',
        'arguments["user"] = f"{uid}"',
        (f"{_LOAD}arguments_of_a_process_to_execute",),
    ),
]

_PIDFS = "rootfs/pidfs.py"
_POD = f"{_KERNEL}rootfs_pidfs.py::test_"
_REFUSED = f"{_POD}what_else_is_there_is_not_taken"
_MAKER = f"{_POD}a_maker_finds_an_empty_root_and_no_way_out"
_BARE = f"{_POD}a_maker_has_no_descriptor_no_session_of_ours_and_is_not_dumpable"
_WATCHED = (
    f"{_KERNEL}attacks.py::test_what_mounts_proc_there_before_linux_6_17_has_nothing_of_the_host"
)

_PROC_OF_A_POD = [
    Mutant(
        "who makes a procfs in a pod is in a user namespace of its own",
        _PIDFS,
        "    CLONE_NEWUSER | CLONE_NEWNS |",
        "    CLONE_NEWNS |",
        (_MAKER, _WATCHED),
    ),
    Mutant(
        "and in a mount namespace that cannot be uncovered",
        _PIDFS,
        "    CLONE_NEWUSER | CLONE_NEWNS |",
        "    CLONE_NEWUSER |",
        (_MAKER,),
    ),
    Mutant(
        "its root is empty",
        _PIDFS,
        "            _enter_nothing()\n",
        "",
        (_WATCHED,),
    ),
    Mutant(
        "and so is that of its mount namespace",
        _PIDFS,
        '    move_mount(tree, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH)\n',
        "",
        (_MAKER,),
    ),
    Mutant(
        "also where libct is in a chroot",
        _PIDFS,
        "    setns(own, CLONE_NEWNS)  # to its root, where we may be in a chroot\n",
        "",
        (f"{_POD}by_who_is_in_a_chroot_that_is_no_mount_point",),
    ),
    Mutant(
        "it has no descriptor",
        _PIDFS,
        "            close_range(_CONTEXT + 1)\n",
        "",
        (_BARE,),
    ),
    Mutant(
        "nor the one that errors are told by",
        _PIDFS,
        "        posix.close(report)  # the last of all\n",
        "        posix.dup2(report, 9), posix.close(report)\n",
        (_BARE,),
    ),
    Mutant(
        "the terminal is not its own",
        _PIDFS,
        "            posix.setsid()  # nor shall our terminal be the maker's\n",
        "",
        (_BARE,),
    ),
    Mutant(
        "nobody without CAP_SYS_PTRACE can trace it, whatever fs.suid_dumpable is",
        _PIDFS,
        "            set_dumpable(False)  # fs.suid_dumpable is what this has set\n",
        "",
        (f"{_BARE}[1]",),
    ),
    Mutant(
        "what it has opened is taken by who may only trace its own",
        _PIDFS,
        "        set_dumpable(True)  # for us, who may have no rights over more than our own\n",
        "",
        (f"{_POD}who_has_rights_over_no_more_than_a_user_namespace",),
    ),
    Mutant(
        "nothing else that it has opened is kept",
        _PIDFS,
        "    close_range(_CONTEXT + 1, flags=CLOSE_RANGE_UNSHARE)\n",
        "",
        (f"{_POD}nothing_is_kept_of_what_else_it_opens",),
    ),
    Mutant(
        "it is ended where it does not end",
        _PIDFS,
        "        posix.kill(maker, _signal.SIGKILL)\n",
        "        pass\n",
        (f"{_POD}nothing_is_kept_of_what_else_it_opens[stays]",),
    ),
    Mutant(
        "and not waited for without end",
        _PIDFS,
        "    status = _status(maker, 0, _PATIENCE)\n",
        "    status = _status(maker, 0, 60)\n",
        (f"{_POD}nothing_is_kept_of_what_else_it_opens[stays]",),
    ),
    Mutant(
        "nor is who looks at what it has opened",
        _PIDFS,
        "        status = _status(keeper, posix.WUNTRACED, 2 * _PATIENCE)\n",
        "        status = _status(keeper, posix.WUNTRACED, 60)\n",
        (f"{_REFUSED}[an eventfd]",),
    ),
    Mutant(
        "what is taken is a procfs",
        _PIDFS,
        "    if _is_of_proc(_CONTEXT):\n",
        "    if True:\n",
        (f"{_REFUSED}[a tmpfs]",),
    ),
    Mutant(
        "and so is what is used",
        _PIDFS,
        "    if not _is_of_proc(fs):\n",
        "    if False:\n",
        (f"{_POD}what_somebody_else_has_the_keeper_stop_with_is_not_used",),
    ),
    Mutant(
        "as the kernel says, and not whoever has had it",
        _PIDFS,
        "    option = posix.urandom(16).hex()\n",
        '    option = "x"\n',
        (f"{_REFUSED}[a lie]",),
    ),
    Mutant(
        "what a context says is read, and of another file no more than that",
        "syscalls/filesystems.py",
        "    for _ in range(_MESSAGES):  #",
        "    for _ in range(9999):  #",
        (f"{_KERNEL}syscalls.py::test_errors_of_a_context_carry_the_kernels_messages",),
    ),
    Mutant(
        "and what comes of it is one",
        _PIDFS,
        "    if fstatfs(tree).type != PROC_SUPER_MAGIC:\n",
        "    if False:\n",
        (f"{_POD}the_file_system_itself_is_looked_at",),
    ),
    Mutant(
        "a procfs of a pod shows the pod's processes whatever its options",
        "rootfs/filesystems.py",
        "takes_mount(options, flags) and pids < 0",
        "takes_mount(options, flags)",
        (f"{_KERNEL}attacks.py::test_a_pods_second_container_sees_the_pods_processes_only",),
    ),
    Mutant(
        "a stage that has joined a pid namespace has no procfs of it made",
        "bootstrap/joining.py",
        '    context.release("pids")  #',
        "    #",
        (f"{_KERNEL}attacks.py::test_with_a_new_user_namespace_it_shows_nothing_either",),
    ),
    Mutant(
        "nor has a lender cloned",
        "plan/container.py",
        "[open_proc(), *start, *shared, *lend])",
        "[open_proc(), *start, *shared, *[ns.enter_pids() for _ in shared], *lend])",
        (f"{_PLAN}what_others_see_in_a_pid_namespace_is_the_command",),
    ),
    Mutant(
        "nor runs hooks",
        "config/rules_namespaces.py",
        "    if hooks and pids is not None",
        "    if False and pids is not None",
        (_RULES,),
    ),
]

MUTANTS: list[Mutant] = [
    *_PROC_OF_A_POD,
    *_PATHS_IN_ROOT,
    *_MASKS,
    *_MOUNTS_AND_DEVICES,
    *_ROOTS,
    *_CONSOLES,
    *_CAPABILITIES,
    *_PROCESSES,
    *_ORDER,
    *_FILES_OF_PROC,
    *_CONFIGURATIONS,
]

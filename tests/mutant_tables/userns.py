"""Mutants of what a user namespace cannot mount, of id-mapped mounts, and of maps."""

from __future__ import annotations

from . import Mutant

_SYSFS = "tests/kernel/test_rootfs_sysfs.py::test_"
_CGROUP = "tests/kernel/test_rootfs_cgroup.py::test_"
_IDMAPPED = "tests/kernel/test_rootfs_idmapped.py::test_"
_MAPS = "tests/unit/test_automatic_maps.py::test_"
_PLANS = "tests/unit/test_rootfs.py::test_"

MUTANTS = [
    Mutant(
        "the host's sysfs is read-only in a container, with all below it",
        "rootfs/sysfs.py",
        "attr_set | MOUNT_ATTR_RDONLY, 0, recursive=True)",
        "attr_set | MOUNT_ATTR_RDONLY, 0)",
        (
            _SYSFS + "without_a_network_namespace_it_is_the_hosts_and_read_only",
            _SYSFS + "what_is_below_cannot_be_written_either",
        ),
    ),
    Mutant(
        "the host's control groups are not seen in its sysfs",
        "rootfs/sysfs.py",
        "            if hidden:\n",
        "            if False:\n",
        (_SYSFS + "without_a_network_namespace_it_is_the_hosts_and_read_only",),
    ),
    Mutant(
        "a sysfs that is to be writable is never the host's",
        "plan/sysfs.py",
        " or not mount.flags & MS_RDONLY:",
        ":",
        (_SYSFS + "one_that_is_to_be_writable_is_refused",),
    ),
    Mutant(
        "an ordinary user's container cannot write to the host's groups where a mount is refused",
        "plan/cgroup_mounts.py",
        "own is None and ordinary)",
        "False)",
        (_PLANS + "an_ordinary_user_cannot_write_to_the_host_s_groups",),
    ),
    Mutant(
        "the host's groups that are bound in the place of a mount are read-only",
        "rootfs/cgroup_mounts.py",
        "                attr_set |= MOUNT_ATTR_RDONLY if protected else 0\n",
        "",
        (_CGROUP + "where_a_mount_is_refused_the_host_s_is_bound",),
    ),
    Mutant(
        "the runtime's own group of v1 is read-only to a container",
        "rootfs/cgroup_v1_mounts.py",
        "            attr_set |= MOUNT_ATTR_RDONLY\n        try:\n",
        "        try:\n",
        (_CGROUP + "so_it_is_with_v1",),
    ),
    Mutant(
        "the runtime's own group of v2 is read-only to a container",
        "rootfs/cgroup_mounts.py",
        """            tree = make_filesystem("cgroup2", "cgroup2", ())
            attr_set |= MOUNT_ATTR_RDONLY if protected else 0
""",
        """            tree = make_filesystem("cgroup2", "cgroup2", ())
""",
        (_CGROUP + "the_group_of_the_runtime_is_read_only",),
    ),
    Mutant(
        "a container's group that could not be made is the runtime's",
        "rootfs/cgroup_mounts.py",
        "    protected = protected or not exists(source)\n",
        "",
        (_CGROUP + "the_group_of_the_runtime_is_read_only",),
    ),
    Mutant(
        "without rights over the cgroup namespace there are groups still",
        "rootfs/cgroup_v1_mounts.py",
        """        if error.errno not in (errno.EPERM, errno.EBUSY):
            raise
        attr_set, attr_clr""",
        """        if error:
            raise
        attr_set, attr_clr""",
        (_CGROUP + "v1_without_rights_over_the_cgroup_namespace",),
    ),
    Mutant(
        "a new file system is mapped",
        "rootfs/idmapped.py",
        "        _map(tree, False, False, path, uids, gids)\n",
        "        pass\n",
        (_IDMAPPED + "a_new_file_system_is_mapped",),
    ),
    Mutant(
        "a file system that cannot be mapped is said so",
        "rootfs/idmapped.py",
        "        if isinstance(error, OSError) and error.errno == errno.EINVAL:\n",
        "        if False:\n",
        (_IDMAPPED + "what_the_kernel_cannot_map_is_said",),
    ),
    Mutant(
        "a mapping that is relative is within one of the container's",
        "oci/inline_maps.py",
        " and inside + size <= at.container_id + at.size:",
        " < at.container_id + at.size:",
        ("tests/unit/test_inline_maps.py::test_what_is_none",),
    ),
    Mutant(
        "a mapping in an option is that of the mount",
        "oci/load.py",
        "    elif mount.id_mapping is not None and inline:\n",
        "    elif False:\n",
        ("tests/unit/test_inline_maps.py::test_a_mount_has_them",),
    ),
    Mutant(
        "a bundle of an ordinary user has a user namespace",
        "oci/automatic_maps.py",
        '        fields["namespaces"].append(Namespace(NEWUSER))\n',
        "        return\n",
        (_MAPS + "an_ordinary_user_has_a_user_namespace",),
    ),
    Mutant(
        "a namespace that is joined is not given maps",
        "oci/automatic_maps.py",
        "    if spaces and spaces[0].path:\n",
        "    if False:\n",
        (_MAPS + "what_a_configuration_says_stays",),
    ),
    Mutant(
        "the user is whom the process is to be",
        "oci/automatic_maps.py",
        "        used = min(count, inside - at) if at < inside else count\n",
        "        used = count\n",
        (_MAPS + "the_user_and_subordinate_ids_fill_the_namespace",),
    ),
    Mutant(
        "what is said of the maps of a joined user namespace is true",
        "plan/container.py",
        '    plan.add(RUNTIME, "attach", ns.joined_map_steps(config))\n',
        "",
        ("tests/kernel/test_namespaces.py::test_mappings_of_a_joined_user_namespace_are_compared",),
    ),
    Mutant(
        "the maps of a joined user namespace are read of a process in it",
        "config/facts.py",
        "                member = _member(path)\n",
        "                return None\n",
        ("tests/kernel/test_namespaces.py::test_mappings_of_a_joined_user_namespace_are_compared",),
    ),
    Mutant(
        "a process is a user that the joined user namespace maps",
        "config/rules_process.py",
        "    return maps if maps is not None and all(maps) else None\n",
        "    return None\n",
        ("tests/unit/test_config_process.py::test_ids_must_be_mapped_in_one_that_is_joined",),
    ),
]

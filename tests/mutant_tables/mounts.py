"""Mutants of what mounts are in detail: access times, options, owners, propagation, hints."""

from __future__ import annotations

from . import Mutant

_ATIME = "tests/kernel/test_rootfs_atime.py::test_"

_CGROUP = "tests/kernel/test_rootfs_cgroup.py::test_"

MUTANTS = [
    Mutant(
        "another access time takes the place of the old one",
        "rootfs/attach.py",
        "    attr_clr = _with_access_time(attr_set, attr_clr)\n    if not (attr_set",
        "    if not (attr_set",
        (f"{_ATIME}a_value_is_set_without_a_word_of_what_it_replaces",),
    ),
    Mutant(
        "so it does where the kernel has no mount_setattr(2)",
        "rootfs/attach.py",
        "    attr_clr = _with_access_time(attr_set, attr_clr)\n    flags = 0\n",
        "    flags = 0\n",
        (f"{_ATIME}a_value_is_set_without_a_word_of_what_it_replaces",),
    ),
    Mutant(
        "access times of the host's groups that an option names are cleared",
        "plan/cgroup_mounts.py",
        "    attr_clr &= ATIME\n",
        "    attr_clr = 0\n",
        (f"{_ATIME}a_bind_of_the_host_s_groups_is_told_to_be_locked",),
    ),
    Mutant(
        "the v2 tree has the access times that it is asked to have",
        "rootfs/cgroup_mounts.py",
        "            attach(context, tree, place, target, **changes)\n            finish",
        "            attach(context, tree, place, target)\n            finish",
        (f"{_ATIME}every_option_on_every_kind_of_mount",),
    ),
    Mutant(
        "a group that is bound has the access times that it is asked to have",
        "rootfs/cgroup_mounts.py",
        "            attach(context, tree, place, target, **changes)\n        finally",
        "            attach(context, tree, place, target)\n        finally",
        (f"{_ATIME}a_group_that_is_bound_has_them",),
    ),
    Mutant(
        "v1 mounts have no devices, set-id programs or programs at all",
        "plan/cgroup_mounts.py",
        "    protected = mount.flags | _ALWAYS\n",
        "    protected = mount.flags\n",
        (f"{_CGROUP}v1_is_always_nosuid_nodev_and_noexec",),
    ),
]

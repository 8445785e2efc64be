"""Mutants of what mounts are in detail: access times, options, owners, propagation, hints."""

from __future__ import annotations

from . import Mutant

_ATIME = "tests/kernel/test_rootfs_atime.py::test_"

_CGROUP = "tests/kernel/test_rootfs_cgroup.py::test_"
_ROOT = "tests/kernel/test_rootfs_root.py::test_"
_RULES = "tests/unit/test_config_validate.py::test_rules"
_OPTIONS = "tests/unit/test_oci_mount_options.py::test_options"
_MOUNTS = "tests/kernel/test_rootfs_mounts.py::test_"

_ADDED = "tests/kernel/test_mounting.py::"

_LINKS = "tests/kernel/test_rootfs_links.py::"

MUTANTS = [
    Mutant(
        "a link is mounted itself",
        "rootfs/binds.py",
        "        flags |= AT_SYMLINK_NOFOLLOW\n",
        "        pass\n",
        (_LINKS + "test_a_link_itself_is_mounted",),
    ),
    Mutant(
        "no link is made over something else",
        "rootfs/links.py",
        "        if found != link:\n",
        "        if False:\n",
        (_LINKS + "test_no_link_is_made_over_something_else",),
    ),
    Mutant(
        "the source of a mount with links is not opened in a running container",
        "plan/mounting.py",
        "    if mount.extensions & EXT_LINKS:\n",
        "    if False:\n",
        (_ADDED + "test_what_cannot_be_added",),
    ),
    Mutant(
        "no other mount than the one that was added is removed",
        "rootfs/mounting.py",
        "if place < 0 or _number(context, place) != number:",
        "if place < 0:",
        (_ADDED + "test_no_other_mount_is_removed",),
    ),
    Mutant(
        "the source of a mount that is added comes with its locks",
        "plan/mounting.py",
        "[ns.copy_mounts(user), propagate",
        "[ns.copy_mounts(0), propagate",
        (_ADDED + "test_what_is_read_only_on_the_host_is_locked",),
    ),
    Mutant(
        "a lender opens the source of a mount that is added",
        "plan/mounting.py",
        "    if opens and user and host.euid == 0:\n",
        "    if False:\n",
        (_ADDED + "test_a_source_that_only_root_of_the_host_reaches",),
    ),
    Mutant(
        "a procfs of the wrong pid namespace is not added",
        "plan/mounting.py",
        '"mqueue", "proc", "sysfs")',
        '"mqueue", "sysfs")',
        (_ADDED + "test_what_cannot_be_added",),
    ),
    Mutant(
        "of a list of mounts all are added or none",
        "cli/mounts.py",
        "            added.append(mount.destination)\n",
        "",
        (_ADDED + "test_the_command_adds_and_removes_a_list",),
    ),
    Mutant(
        "Linux before 6.5 takes a comma in the paths of an overlay by mount(2) alone",
        "rootfs/flags.py",
        "    return escaped or longest > ",
        "    return longest > ",
        ("tests/unit/test_rootfs.py::test_an_escaped_comma_takes_the_old_call",),
    ),
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
        "rootfs/cgroup_v1_mounts.py",
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
    Mutant(
        "why a source is refused is told by who was refused it",
        "rootfs/binds.py",
        "            explain_clone(error, source)\n",
        "            pass\n",
        (
            f"{_MOUNTS}an_ordinary_user_is_told_so_too",
            f"{_MOUNTS}so_does_a_bind_of_what_an_earlier_mount_has_made",
        ),
    ),
    Mutant(
        "what the lender has found out reaches who asked for the source",
        "bootstrap/lending.py",
        "            advise(error, hint)\n",
        "",
        (f"{_MOUNTS}so_does_a_bind_of_what_an_earlier_mount_has_made",),
    ),
    Mutant(
        "ids that are mapped already are told",
        "rootfs/idmapped.py",
        "        if isinstance(error, PermissionError):\n",
        "        if False:\n",
        (f"{_MOUNTS}ids_that_are_mapped_already_are_not_mapped_again",),
    ),
    Mutant(
        "so are those of what is below",
        "rootfs/refused.py",
        "(on, *below)",
        "(on,)",
        (f"{_MOUNTS}ids_that_are_mapped_already_are_not_mapped_again",),
    ),
    Mutant(
        "a missing source whose ids are to be mapped is told to be missing",
        "bootstrap/hints.py",
        '"take_source", "open_idmapped"):\n',
        '"take_source"):\n',
        (f"{_MOUNTS}id_mapped_sources_that_cannot_be",),
    ),
    Mutant(
        "a missing user namespace is no missing source",
        "bootstrap/hints.py",
        'code == errno.ENOENT and failure.call.startswith("open_tree("):',
        "code == errno.ENOENT:",
        (f"{_MOUNTS}id_mapped_sources_that_cannot_be",),
    ),
    Mutant(
        "of options of a tree what sets wins",
        "oci/mount_options.py",
        "    attr_clr &= ~attr_set | MOUNT_ATTR__ATIME\n",
        "    attr_set &= ~attr_clr | MOUNT_ATTR__ATIME\n",
        (_OPTIONS,),
    ),
    Mutant(
        "rstrictatime wins over rnoatime",
        "oci/mount_options.py",
        "        attr_set &= ~MOUNT_ATTR_NOATIME\n",
        "        pass\n",
        (_OPTIONS,),
    ),
    Mutant(
        "a tmpfs is root's, whoever has the directory below",
        "rootfs/filesystems.py",
        "owner=fill is not None)",
        "owner=True)",
        (f"{_MOUNTS}a_tmpfs_has_the_mode_of_the_directory_it_covers",),
    ),
    Mutant(
        "a copy of a directory has its owner",
        "rootfs/filesystems.py",
        "owner=fill is not None)",
        "owner=False)",
        (f"{_MOUNTS}a_tmpfs_has_the_mode_of_the_directory_it_covers",),
    ),
    Mutant(
        "rprivate takes nothing from mounts that are to be shared",
        "plan/root.py",
        "or propagation == MS_PRIVATE:\n",
        "or propagation & MS_PRIVATE:\n",
        (f"{_ROOT}a_mount_keeps_its_own_propagation",),
    ),
    Mutant(
        "binds whose sources were opened before are private then, too",
        "plan/container.py",
        "    config = root.with_private_binds(config)\n",
        "",
        (f"{_ROOT}a_mount_keeps_its_own_propagation",),
    ),
    Mutant(
        "and only then",
        "plan/root.py",
        "    if config.root_propagation != MS_PRIVATE | MS_REC:\n",
        "    if not config.root_propagation & MS_PRIVATE:\n",
        (f"{_ROOT}a_mount_keeps_its_own_propagation",),
    ),
    Mutant(
        "acl is given to the file system, by the call that knows it",
        "rootfs/flags.py",
        "flags & (MS_I_VERSION | MS_POSIXACL)",
        "flags & MS_I_VERSION",
        ("tests/unit/test_rootfs.py::test_long_options_iversion_and_acl_take_the_old_call",),
    ),
    Mutant(
        "acl is a flag and no option of a file system",
        "oci/mount_options.py",
        '    "acl": MS_POSIXACL,\n',
        "",
        (f"{_MOUNTS}each_option_of_a_tmpfs_is_what_the_kernel_shows",),
    ),
    Mutant(
        "a bind mount has nothing copied up",
        "config/rules_rootfs.py",
        "EXT_COPYUP and (bind or",
        "EXT_COPYUP and (not bind and",
        (_RULES,),
    ),
    Mutant(
        "a destination by a link to the bundle is inside",
        "oci/bundle.py",
        "            mount.destination = inside\n",
        "            pass\n",
        ("tests/unit/test_oci_load.py::test_destinations_by_the_path_that_the_caller_gave",),
    ),
    Mutant(
        "a destination that is inside is so by its path",
        "oci/bundle.py",
        '        if inside != destination_inside("/", mount.destination):\n',
        "        if inside:\n",
        ("tests/unit/test_oci_load.py::test_destinations_by_the_path_that_the_caller_gave",),
    ),
]

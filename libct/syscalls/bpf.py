"""The bpf(2) calls for programs of control groups, and eBPF instructions.

Documents: bpf(2); Documentation/bpf/standardization/instruction-set.rst of the
kernel.
"""

from __future__ import annotations

import errno

from .c import (
    Structure,
    addressof,
    c_char,
    c_int,
    c_int16,
    c_int32,
    c_uint,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
    create_string_buffer,
    get_errno,
    sizeof,
)
from .core import bind_syscall, cstring, fail, number, retried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# include/uapi/linux/bpf.h: enum bpf_cmd
BPF_PROG_LOAD = 5
BPF_PROG_ATTACH = 8
BPF_PROG_DETACH = 9
BPF_PROG_GET_FD_BY_ID = 13
BPF_PROG_QUERY = 16
# enum bpf_prog_type, enum bpf_attach_type
BPF_PROG_TYPE_CGROUP_DEVICE = 15
BPF_CGROUP_DEVICE = 6
# flags of BPF_PROG_ATTACH and BPF_PROG_QUERY
BPF_F_ALLOW_OVERRIDE = 0x1
BPF_F_ALLOW_MULTI = 0x2
BPF_F_REPLACE = 0x4  # Linux 5.6
BPF_F_QUERY_EFFECTIVE = 0x1
# BPF_CGROUP_DEVICE: the two halves of access_type
BPF_DEVCG_DEV_BLOCK = 1
BPF_DEVCG_DEV_CHAR = 2
BPF_DEVCG_ACC_MKNOD = 1
BPF_DEVCG_ACC_READ = 2
BPF_DEVCG_ACC_WRITE = 4

# Instruction classes, sizes, modes, operations and operands
# (include/uapi/linux/bpf_common.h, bpf.h).
BPF_LDX = 0x01
BPF_ALU = 0x04
BPF_JMP = 0x05
BPF_ALU64 = 0x07
BPF_W = 0x00
BPF_MEM = 0x60
BPF_K = 0x00
BPF_X = 0x08
BPF_AND = 0x50
BPF_RSH = 0x70
BPF_MOV = 0xB0
BPF_JA = 0x00
BPF_JEQ = 0x10
BPF_JNE = 0x50
BPF_EXIT = 0x90


class Instruction(Structure):
    """struct bpf_insn, include/uapi/linux/bpf.h.

    code: class, operation and operand.  dst, src: registers 0 to 10.
    offset: of memory in bytes, of a jump in instructions after the next.
    immediate: a signed constant.
    """

    _fields_ = (
        ("code", c_uint8),
        ("_registers", c_uint8),
        ("offset", c_int16),
        ("immediate", c_int32),
    )


def instruction(
    code: int, *, dst: int = 0, src: int = 0, offset: int = 0, immediate: int = 0
) -> bytes:
    """Encode one instruction, in this machine's byte order."""
    # The two registers are bit fields, and those follow the byte order too.
    registers = src << 4 | dst if _LITTLE else dst << 4 | src
    return bytes(Instruction(code, registers, offset, immediate))


_LITTLE = bytes(c_uint16(1))[0] == 1


class ProgLoadAttr(Structure):
    """The part of union bpf_attr for BPF_PROG_LOAD, up to its attach type."""

    _fields_ = (
        ("prog_type", c_uint32),
        ("insn_cnt", c_uint32),
        ("insns", c_uint64),
        ("license", c_uint64),
        ("log_level", c_uint32),
        ("log_size", c_uint32),
        ("log_buf", c_uint64),
        ("kern_version", c_uint32),
        ("prog_flags", c_uint32),
        ("prog_name", c_char * 16),
        ("prog_ifindex", c_uint32),
        ("expected_attach_type", c_uint32),
    )


class ProgAttachAttr(Structure):
    """The part of union bpf_attr for BPF_PROG_ATTACH and BPF_PROG_DETACH."""

    _fields_ = (
        ("target_fd", c_uint32),
        ("attach_bpf_fd", c_uint32),
        ("attach_type", c_uint32),
        ("attach_flags", c_uint32),
        ("replace_bpf_fd", c_uint32),
    )


class ProgQueryAttr(Structure):
    """The part of union bpf_attr for BPF_PROG_QUERY; "query"."""

    _fields_ = (
        ("target_fd", c_uint32),
        ("attach_type", c_uint32),
        ("query_flags", c_uint32),
        ("attach_flags", c_uint32),
        ("prog_ids", c_uint64),
        ("prog_cnt", c_uint32),
    )


class GetFdByIdAttr(Structure):
    """The part of union bpf_attr for BPF_PROG_GET_FD_BY_ID."""

    _fields_ = (
        ("prog_id", c_uint32),
        ("next_id", c_uint32),
        ("open_flags", c_uint32),
    )


_NR_BPF = number("bpf")
_bpf = bind_syscall(c_int, c_void_p, c_uint)


def _call(command: int, attr: Any) -> int:
    """bpf(2): the union is as long as the part that the command reads."""
    # The verifier gives up when a signal is pending (kernel/bpf/verifier.c, do_check()).
    transient = command == BPF_PROG_LOAD
    result: int = retried(
        _bpf, _NR_BPF, command, addressof(attr), sizeof(attr), transient=transient
    )
    return result


def prog_load(
    instructions: bytes,
    *,
    prog_type: int = BPF_PROG_TYPE_CGROUP_DEVICE,
    license_: str = "Apache",
    name: str = "",
) -> int:
    """Verify and load a program; return its descriptor, the caller's, close-on-exec.

    instructions: the encoded ones, joined.  license_: "GPL" and the like give
        access to more functions.  name: at most 15 letters, digits, "_" and ".".

    Raises OSError, with the verifier's last words where it has some, with errno
        EACCES  the verifier refuses it, as unsafe;
        EAGAIN  it was stopped at every try for some seconds;
        EINVAL  malformed, or no such prog_type;
        E2BIG   too many instructions;
        EPERM   no CAP_BPF (and CAP_NET_ADMIN; before Linux 5.8 CAP_SYS_ADMIN); or,
                before Linux 5.11, RLIMIT_MEMLOCK.

    Source: bpf(2), BPF_PROG_LOAD.
    """
    code = create_string_buffer(instructions, len(instructions))
    terms = create_string_buffer(cstring(license_))
    attr = ProgLoadAttr(
        prog_type=prog_type,
        insn_cnt=len(instructions) // sizeof(Instruction),
        insns=addressof(code),
        license=addressof(terms),
        prog_name=cstring(name),
    )
    fd = _call(BPF_PROG_LOAD, attr)
    if fd != -1:
        return fd
    failed = get_errno()
    text = f"bpf(BPF_PROG_LOAD, {{prog_type={prog_type}, insn_cnt={attr.insn_cnt}}})"
    if failed not in (errno.EACCES, errno.EINVAL):
        fail(text, code=failed)
    log = create_string_buffer(65536)
    attr.log_level, attr.log_size, attr.log_buf = 1, len(log), addressof(log)
    fd = _call(BPF_PROG_LOAD, attr)  # again, for the reason
    if fd != -1:
        return fd
    lines = log.value.decode("ascii", "backslashreplace").splitlines()
    fail(text, code=failed, detail="; ".join(lines[-3:]))


def prog_attach(
    cgroup: int,
    program: int,
    attach_type: int = BPF_CGROUP_DEVICE,
    *,
    flags: int = 0,
    replace: int = -1,
) -> None:
    """Attach a program to a cgroup; it stays when its descriptor is closed.

    cgroup: a descriptor of a cgroup v2 directory; all are borrowed.
    flags: BPF_F_*; with BPF_F_ALLOW_MULTI all the programs of the cgroup and of
        those above run, and all have to allow.
    replace: the program to put it in the place of, at once; adds BPF_F_REPLACE.

    Raises OSError with errno
        EINVAL  a bad flag (BPF_F_REPLACE before Linux 5.6), or the program is of
                another type;
        ENOENT  replace is not attached here;
        EPERM   no CAP_NET_ADMIN (or CAP_SYS_ADMIN before Linux 5.8); or a
                program is attached already, or above, without ALLOW flags.

    Source: bpf(2); kernel/bpf/cgroup.c.
    """
    attr = ProgAttachAttr(cgroup, program, attach_type, flags)
    if replace >= 0:
        attr.attach_flags |= BPF_F_REPLACE
        attr.replace_bpf_fd = replace
    if _call(BPF_PROG_ATTACH, attr) == -1:
        text = f"target_fd={cgroup}, attach_bpf_fd={program}, attach_type={attach_type}"
        fail(f"bpf(BPF_PROG_ATTACH, {{{text}, attach_flags={attr.attach_flags:#x}}})")


def prog_detach(cgroup: int, program: int, attach_type: int = BPF_CGROUP_DEVICE) -> None:
    """Detach a program from a cgroup.  Both descriptors are borrowed.

    Raises OSError with errno
        ENOENT  it is not attached here;
        EPERM   no CAP_NET_ADMIN (or CAP_SYS_ADMIN before Linux 5.8).

    Source: bpf(2); kernel/bpf/cgroup.c.
    """
    attr = ProgAttachAttr(cgroup, program, attach_type)
    if _call(BPF_PROG_DETACH, attr) == -1:
        text = f"target_fd={cgroup}, attach_bpf_fd={program}, attach_type={attach_type}"
        fail(f"bpf(BPF_PROG_DETACH, {{{text}}})")


def prog_query(
    cgroup: int, attach_type: int = BPF_CGROUP_DEVICE, *, flags: int = 0
) -> tuple[int, list[int]]:
    """The (attach flags, ids) of the programs of a cgroup, in the order they run.

    flags: BPF_F_QUERY_EFFECTIVE counts those of the cgroups above in; the attach
        flags are 0 then.

    Raises OSError with errno
        EINVAL  a kernel without CONFIG_CGROUP_BPF;
        EPERM   no CAP_NET_ADMIN (or CAP_SYS_ADMIN before Linux 5.8).

    Source: bpf(2); kernel/bpf/cgroup.c.
    """
    room = 64  # BPF_CGROUP_MAX_PROGS
    while True:
        ids = (c_uint32 * room)()
        attr = ProgQueryAttr(cgroup, attach_type, flags, 0, addressof(ids), room)
        if _call(BPF_PROG_QUERY, attr) != -1:
            return attr.attach_flags, list(ids[: attr.prog_cnt])
        code = get_errno()
        if code != errno.ENOSPC or attr.prog_cnt <= room:
            text = f"target_fd={cgroup}, attach_type={attach_type}, query_flags={flags:#x}"
            fail(f"bpf(BPF_PROG_QUERY, {{query={{{text}}}}})", code=code)
        room = attr.prog_cnt  # the effective ones may be more


def prog_get_fd_by_id(program_id: int) -> int:
    """A descriptor of a loaded program, the caller's, close-on-exec.

    Raises OSError with errno
        ENOENT  there is none;
        EPERM   no CAP_SYS_ADMIN.

    Source: bpf(2); kernel/bpf/syscall.c.
    """
    fd = _call(BPF_PROG_GET_FD_BY_ID, GetFdByIdAttr(prog_id=program_id))
    if fd == -1:
        fail(f"bpf(BPF_PROG_GET_FD_BY_ID, {{prog_id={program_id}}})")
    return fd

"""Which system calls libct's own profile lets through, and which it leaves out, and why.

Every call of the tables in calls/ is in one group here; a test sees to it, so that a
newer kernel's calls are decided on before they are in a table.
"""

from __future__ import annotations

import errno

# Those that act on the caller's own memory, descriptors and processes, or on files,
# sockets and other objects that the kernel asks for the right to at each use.
_ALLOWED = """
    read write readv writev pread64 pwrite64 preadv preadv2 pwritev pwritev2 lseek _llseek open
    openat openat2 creat close close_range dup dup2 dup3 fcntl fcntl64 flock poll ppoll
    ppoll_time64 select _newselect pselect6 pselect6_time64 pipe pipe2 epoll_create
    epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 sendfile
    sendfile64 splice tee vmsplice copy_file_range readahead fadvise64 fadvise64_64 fallocate
    truncate truncate64 ftruncate ftruncate64 sync syncfs fsync fdatasync sync_file_range
    cachestat

    stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx statfs statfs64 fstatfs
    fstatfs64 access faccessat faccessat2 readlink readlinkat getcwd chdir fchdir getdents
    getdents64 mkdir mkdirat rmdir mknod mknodat link linkat symlink symlinkat unlink unlinkat
    rename renameat renameat2 umask chmod fchmod fchmodat fchmodat2 chown chown32 lchown
    lchown32 fchown fchown32 fchownat utime utimes utimensat utimensat_time64 futimesat getxattr
    getxattrat lgetxattr fgetxattr setxattr setxattrat lsetxattr fsetxattr listxattr listxattrat
    llistxattr flistxattr removexattr removexattrat lremovexattr fremovexattr file_getattr
    file_setattr inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark
    statmount listmount io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents
    io_pgetevents_time64

    mmap mmap2 munmap mremap mprotect madvise msync mincore mlock mlock2 munlock mlockall
    munlockall brk remap_file_pages memfd_create memfd_secret membarrier mseal map_shadow_stack
    pkey_alloc pkey_free pkey_mprotect process_mrelease

    fork vfork execve execveat exit exit_group wait4 waitid waitpid kill tkill tgkill pidfd_open
    pidfd_send_signal ptrace process_vm_readv process_vm_writev prctl arch_prctl set_tid_address
    set_thread_area get_thread_area set_robust_list get_robust_list rseq rseq_slice_yield futex
    futex_time64 futex_waitv futex_wait futex_wake futex_requeue restart_syscall nice
    getpriority setpriority ioprio_get ioprio_set sched_yield sched_getaffinity
    sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam
    sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min
    sched_rr_get_interval sched_rr_get_interval_time64 getrlimit ugetrlimit setrlimit prlimit64
    getrusage times getcpu

    getpid getppid gettid getpgid getpgrp setpgid getsid setsid getuid getuid32 geteuid
    geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid getresgid32
    getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid
    setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid
    setfsgid32 setgroups setgroups32 capget capset seccomp landlock_create_ruleset
    landlock_add_rule landlock_restrict_self lsm_get_self_attr lsm_set_self_attr
    lsm_list_modules

    rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait
    rt_sigtimedwait_time64 rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn sigaltstack sigreturn
    sigprocmask sigaction signal sigpending sigsuspend sgetmask ssetmask pause signalfd
    signalfd4

    time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64
    clock_nanosleep clock_nanosleep_time64 nanosleep alarm getitimer setitimer timer_create
    timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
    timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 adjtimex
    clock_adjtime clock_adjtime64

    bind connect listen accept accept4 getsockname getpeername getsockopt setsockopt shutdown
    send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64

    ipc semget semop semctl semtimedop semtimedop_time64 msgget msgsnd msgrcv msgctl shmget
    shmat shmdt shmctl mq_open mq_unlink mq_timedsend mq_timedsend_time64 mq_timedreceive
    mq_timedreceive_time64 mq_notify mq_getsetattr

    uname sysinfo getrandom uprobe uretprobe arm_fadvise64_64 arm_sync_file_range
    sync_file_range2 breakpoint cacheflush set_tls get_tls cachectl sysmips riscv_flush_icache
    riscv_hwprobe s390_guarded_storage s390_runtime_instr s390_sthyi swapcontext
"""
ALLOWED = _ALLOWED.split()

# What default.py has conditions for, and gives the reasons.
CONDITIONAL = ["clone", "ioctl", "personality", "socket", "socketpair", "socketcall"]


class Group:
    """Calls that are left out.

    why: the reason.
    answer: the error number that they fail with; EPERM, which is the profile's default,
        or ENOSYS where programs are to think that the kernel has no such call.
    capabilities: one of them brings the calls back: who has it may do this anyway.
    """

    __slots__ = ("answer", "capabilities", "names", "why")

    def __init__(self, why: str, names: str, capabilities: str = "", answer: int = 1) -> None:
        self.why = why
        self.names = names.split()
        self.capabilities = capabilities.split()
        self.answer = answer


LEFT_OUT = [
    Group(
        "In a new user namespace a command has all capabilities, and so reaches parts of the"
        " kernel that only root reaches otherwise.  Of clone the flags decide.",
        "setns unshare listns",
        "CAP_SYS_ADMIN",
    ),
    Group(
        "Its flags are in memory, where no filter looks; the C library then takes clone.",
        "clone3",
        "CAP_SYS_ADMIN",
        errno.ENOSYS,
    ),
    Group(
        "They change what is at which path, which other protection counts on.",
        "mount umount umount2 pivot_root mount_setattr move_mount open_tree open_tree_attr"
        " fsopen fsconfig fsmount fspick",
        "CAP_SYS_ADMIN",
    ),
    Group("A way out of a root for who may have it.", "chroot", "CAP_SYS_CHROOT"),
    Group(
        "Opens files by number, past all directories and mounts: one of the host's own file"
        " system leads out of the root.",
        "open_by_handle_at",
        "CAP_DAC_READ_SEARCH",
    ),
    Group("Numbers for open_by_handle_at.", "name_to_handle_at", "CAP_SYS_ADMIN"),
    Group(
        "Keys are the kernel's and the user's, and kept apart by no other namespace.",
        "add_key keyctl request_key",
    ),
    Group(
        "Code that runs in the kernel; its verifier and its compiler had many bugs.",
        "bpf",
        "CAP_BPF CAP_SYS_ADMIN",
    ),
    Group(
        "A large part of the kernel with many bugs, which tells about other processes, too.",
        "perf_event_open",
        "CAP_PERFMON CAP_SYS_ADMIN",
    ),
    Group(
        "Lets a program stop the kernel where it likes: how races in it are won.",
        "userfaultfd",
        "CAP_SYS_PTRACE",
    ),
    Group(
        "A second way to much of what is filtered here, that no filter sees; programs do without.",
        "io_uring_setup io_uring_enter io_uring_register",
        answer=errno.ENOSYS,
    ),
    Group("Code in the kernel.", "init_module finit_module delete_module", "CAP_SYS_MODULE"),
    Group("Another kernel.", "kexec_load kexec_file_load"),
    Group("The end of the machine.", "reboot", "CAP_SYS_BOOT"),
    Group(
        "Administration of the whole machine.",
        "swapon swapoff quotactl quotactl_fd sethostname setdomainname fanotify_init",
        "CAP_SYS_ADMIN",
    ),
    Group("The kernel's messages, addresses among them.", "syslog", "CAP_SYSLOG CAP_SYS_ADMIN"),
    Group("The accounts of all processes.", "acct", "CAP_SYS_PACCT"),
    Group(
        "The machine's time, which has no namespace.",
        "settimeofday stime clock_settime clock_settime64",
        "CAP_SYS_TIME",
    ),
    Group("The terminal of others.", "vhangup", "CAP_SYS_TTY_CONFIG"),
    Group(
        "Ports and memory of devices.",
        "iopl ioperm pciconfig_iobase pciconfig_read pciconfig_write s390_pci_mmio_read"
        " s390_pci_mmio_write rtas",
        "CAP_SYS_RAWIO",
    ),
    Group(
        "Where memory is, which is a limit of who has started this; no program needs it to work.",
        "get_mempolicy mbind set_mempolicy set_mempolicy_home_node migrate_pages move_pages",
        "CAP_SYS_NICE",
    ),
    Group(
        "Descriptors and memory of other processes, and addresses of the kernel.",
        "kcmp pidfd_getfd process_madvise",
        "CAP_SYS_PTRACE",
    ),
    Group(
        "Segments and modes of 16-bit programs, bugs of which were ways into the kernel.",
        "modify_ldt vm86 vm86old",
    ),
    Group(
        "Stands for any call: what looks at numbers does not see which.",
        "syscall multiplexer",
    ),
    Group(
        "Modes of single processors, for programs of their own kind.",
        "spu_create spu_run subpage_prot switch_endian sys_debug_setcontext",
    ),
    Group(
        "Out of use for decades, or never made.",
        "_sysctl afs_syscall bdflush break create_module epoll_ctl_old epoll_wait_old ftime"
        " get_kernel_syms getpmsg gtty idle lock lookup_dcookie mpx nfsservctl oldfstat oldlstat"
        " oldolduname oldstat olduname prof profil putpmsg query_module readdir security stty"
        " sysfs timerfd tuxcall ulimit uselib usr26 usr32 ustat vserver",
        answer=errno.ENOSYS,
    ),
]

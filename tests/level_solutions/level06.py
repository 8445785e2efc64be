"""The set-user-ID bit has no effect then."""

from libct.syscalls.process import set_no_new_privs


def exercise(host: object) -> None:
    set_no_new_privs()

"""The mode is argument 1 of chmod and fchmod, and 2 of those that begin with a directory."""

from libct.config.seccomp import Seccomp, SeccompArg, SeccompRule
from libct.seccomp.architectures import here
from libct.seccomp.compiler import compile_profile
from libct.seccomp.instructions import encode
from libct.syscalls.seccomp import Filter, seccomp_set_mode_filter


def exercise(host: object) -> None:
    rules = [
        SeccompRule(
            [name],
            "SCMP_ACT_ERRNO",
            args=[SeccompArg(argument, 0o4000, 0o4000, "SCMP_CMP_MASKED_EQ")],
        )
        for name, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2))
    ]
    profile = Seccomp("SCMP_ACT_ALLOW", syscalls=rules)
    seccomp_set_mode_filter(Filter(encode(compile_profile(profile, here()))))

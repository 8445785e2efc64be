"""A judge for programs that nobody trusts: runs one against a test, within limits.

    python3 judge.py PROGRAM.py INPUT EXPECTED

The program gets no network, no file of yours but itself, two seconds, 64 MiB, 8 processes and
10 KB of output.  The verdict is a line of JSON.
"""

import json
import signal
import sys

import libct


def verdict(done, expected):
    if done.ended_by == "memory":
        return "memory limit exceeded"
    if done.ended_by == "output":
        return "output limit exceeded"
    if done.returncode == -signal.SIGXCPU:
        return "time limit exceeded"
    if done.returncode != 0:
        return f"runtime error ({done.returncode})"
    return "accepted" if done.stdout.split() == expected.split() else "wrong answer"


def judge(program, given, expected):
    """What there is to say of the program, and what it has used."""
    limits = {"memory": "64M", "pids": 8, "cpu_time": 2, "rlimits": {"FSIZE": "1M"}}
    try:
        done = libct.run(
            ["python3", "-I", "/program.py"],
            empty=True,
            ro=["/usr"],
            ro_try=["/bin", "/lib", "/lib64"],
            bind=[(program, "/program.py", "ro")],
            cwd="/tmp",
            clear_env=True,
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            max_output="10K",
            timeout=2,
            **limits,
        )
    except libct.TimeoutExpired as error:
        usage = error.usage.to_dict() if error.usage else {}
        return {"verdict": "time limit exceeded", **usage}
    return {"verdict": verdict(done, expected), **done.usage.to_dict()}


if __name__ == "__main__":
    program, given, expected = sys.argv[1:]
    with open(given) as input_file, open(expected) as expected_file:
        print(json.dumps(judge(program, input_file.read(), expected_file.read())))

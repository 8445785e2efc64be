"""Profiles of the runtime-spec to programs of classic BPF.

compiler.py makes a program of a profile; rules.py says what a profile means
for one architecture; calls/ has the numbers of system calls.  instructions.py,
assembler.py, interpreter.py and disassembler.py know BPF and no profile.
"""

"""One function per system call, bound through ctypes; no decisions (see core.py)."""

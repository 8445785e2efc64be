"""The exercises of docs/levels, solved: each module's imports and exercise() go into the level.

tests/kernel/test_levels.py puts them there.  The container has no files of Python's, so a
module that is not loaded yet is imported at the top, as a student would have to.
"""

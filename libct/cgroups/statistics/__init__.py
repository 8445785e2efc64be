"""What a container has used, as its control groups tell it.

records.py    the values, with their units
group.py      reads the files of a container's groups: stats() is where it begins
v1.py, v2.py  which file says what, in the two versions; shared.py, in both
parse.py      the formats of the files

These and parse work on texts and know no file system.
"""

"""What a container has used, as its control groups tell it.

records.py    the values, with their units
group.py      where it begins: stats()
v1.py, v2.py  which file says what, in the two versions; shared.py, in both
parse.py      the formats of the files
directory.py  reads the files of a group

v1, v2, shared and parse work on texts and know no file system.
"""

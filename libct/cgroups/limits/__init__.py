"""What limits come down to: the files of a group, and what is to be written there.

setting.py    one setting, and the step that writes it
v1.py, v2.py  resources -> the ordered list of settings, and what is wrong with them

All of it is pure.  What performs the steps is limiting.py, one level up.
"""

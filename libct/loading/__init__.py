"""What makes a command start fast: less to load, and found at once.

finder.py    where libct's own modules lie, for processes that are libct's alone
paths.py     what is needed of os and os.path
jsontext.py  what is needed of json
clock.py     waiting, measured by the clock
"""

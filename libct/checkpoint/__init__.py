"""CRIU over its RPC: what processes are written to files with, and made of files again.

    protobuf.py   the encoding of messages
    messages.py   their fields, as tables
    rpc.py        an exchange with `criu swrk`
    installed.py  what the installed CRIU is and can do
    options.py    what a checkpoint or a restore is asked for, as fields of a request
    mounts.py     which mounts of a container lead to its host

Nothing here knows containers: life/checkpointing.py and life/restoring.py do.
"""

"""The numbers of system calls: a module for each architecture, loaded one at a time."""

"""What a project needs installed, made exact and made again elsewhere.

Takes the interpreter that a notebook ran in and the modules that the code imports. Gives a lock (exact versions and
hashes, the very versions of that interpreter) and an environment built from it, in a folder named by the lock's digest.
"""

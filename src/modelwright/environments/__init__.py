"""What a project needs installed, made exact, named, and made again elsewhere.

Takes the interpreter that a notebook ran in and the modules that the code imports, or a file that says what is wanted
(requirements, pyproject.toml, uv.lock, pylock.toml, conda's). Gives a lock (exact versions and hashes), named versions
of it, and an environment built from it once, in a folder named by the lock's digest.
"""

"""Owns the processes that answer scoring requests: a front per endpoint, a worker per model version.

Takes a built environment, a scoring script and a model folder; gives a URL that answers and a capture of its requests.
`front` is what hosts call; `server` and `worker` are the two kinds of process.
"""

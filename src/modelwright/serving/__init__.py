"""Owns the processes that answer scoring requests: a front per endpoint, workers for each of its deployments.

Takes registered versions with their environments; gives a URL that answers, traffic that can be shared out otherwise at
any time, and every request on record. `deployments` changes endpoints and `control` speaks to their fronts. The
`front`, `capture` and `rollout` are rooms of their own.
"""

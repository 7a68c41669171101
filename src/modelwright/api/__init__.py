"""Owns the HTTP API: routes, its server, who may use it.

Takes requests with a token; calls one function of a room for each; gives records as JSON and errors in one shape.
"""

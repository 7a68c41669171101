"""Owns how events reach those who want them: envelopes, filters, handlers, and the dispatcher that calls them.

Takes events that the store has written with every change; gives attempts to tell each subscriber, and what came of
them. What a subscriber does wrong is an answer here, never an error: it delays nobody but himself.
"""

"""The largest numbers that can be meant seriously, in a dataset and in a request alike."""

MOST_ORDERS = 1_000_000
"""Orders placed on one day."""

MOST_HOURS = 100_000
"""Hours until an order is dispatched; more than eleven years."""

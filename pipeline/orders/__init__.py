"""A week of orders: read, checked, split, simulated."""

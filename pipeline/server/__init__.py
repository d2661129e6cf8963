"""How requests come in, and how the process lives and ends."""

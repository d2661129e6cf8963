"""How long training takes, how much memory, and how fast is what it publishes."""

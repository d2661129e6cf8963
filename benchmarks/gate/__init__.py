"""How many sound weeks the gate refuses, and how many bad ones it lets through."""

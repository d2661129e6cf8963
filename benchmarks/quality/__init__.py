"""How close the published models come to the best that is possible."""

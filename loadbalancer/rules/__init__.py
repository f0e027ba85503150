"""Balancing rules: each picks one node out of the usable ones."""

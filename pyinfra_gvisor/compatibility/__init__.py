"""Tested combinations: a run writes a record of each node, and the docs have a table of records."""

"""The optional parts of a node: a package for each, all of one shape. Their list is in ``part_api``."""

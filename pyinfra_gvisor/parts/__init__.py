"""The optional parts of a node: a package for each, all of one shape; ``part_api`` lists them."""

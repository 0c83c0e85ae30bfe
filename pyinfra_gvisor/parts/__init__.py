"""The optional parts of a node: one package each, of one shape; ``parts_common`` lists them."""

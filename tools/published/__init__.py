"""Tables of the documentation and schemas, made from the code."""

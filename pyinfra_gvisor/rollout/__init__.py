"""A change of a whole fleet: in waves, with a budget of failures, resumed wherever it was ended."""

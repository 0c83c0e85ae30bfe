"""The keeper: a timer on the node that checks that what is declared is in force."""

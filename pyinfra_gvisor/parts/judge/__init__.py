"""The resident judge: a service that answers wrappers faster than a program that they start."""

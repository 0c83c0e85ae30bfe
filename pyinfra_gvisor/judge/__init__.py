"""
What a container asks for, and the answer: one set of rules for the node and for the controller.

Standard library only, Python 3.10 or later: nodes run these files as they are.
"""

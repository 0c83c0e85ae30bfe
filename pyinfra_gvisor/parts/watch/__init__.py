"""The watch on the node: its policy and files, and what has to be done to have them."""

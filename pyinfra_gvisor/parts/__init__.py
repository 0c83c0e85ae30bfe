"""What may stand on a node beside the runtimes, a package for each; `every.py` lists them."""

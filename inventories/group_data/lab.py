"""The runsc of the lab's nodes is what inventories/lab.py says: built here from gVisor's source."""

gvisor_waivers = {"5.6": "the lab's containers run the node's own programs"}

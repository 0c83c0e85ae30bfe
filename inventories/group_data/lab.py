"""Data of the lab's nodes. Their runsc comes from inventories/lab.py."""

gvisor_waivers = {"5.6": "the lab's containers run the node's own programs"}

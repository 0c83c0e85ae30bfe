"""The lab has no way to gVisor's bucket, so its nodes take Debian's old package."""

gvisor_release = "20240729.0"
gvisor_source = "debian"
gvisor_accept_risk = "throwaway lab nodes that run no stranger's code"
gvisor_waivers = {"5.6": "the lab's containers run the node's own programs"}

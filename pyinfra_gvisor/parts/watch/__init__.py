"""The watch: a timer on the node that checks that containers that must run in gVisor do."""

#!/bin/sh
# What is told of the kernel's modules and settings. Read in front of node_state.sh.

kernel_state() { :; }

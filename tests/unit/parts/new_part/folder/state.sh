#!/bin/sh
# What is told of the sample. Read in front of node_state.sh.
sample_state() { line 'sample text' /opt/gvisor/sample/text; }

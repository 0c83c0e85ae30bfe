#!/bin/sh
# How often the sentence was read. Read in front of audit/state.sh.
sample_observed() { echo 'sample_observed 2'; }

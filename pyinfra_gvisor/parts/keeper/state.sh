#!/bin/sh
# Prints the state of the keeper. Read before node_state.sh.
keeper_dir=/opt/gvisor/keeper

keeper_state() { timer_of keeper "$keeper_dir/check" "$keeper_dir/isolation" "$keeper_dir/policy"; }

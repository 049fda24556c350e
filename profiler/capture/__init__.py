"""Run a pair under Nsight Systems on this machine, and record under which conditions."""

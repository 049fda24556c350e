"""Hardware counters of Nsight Compute: read reports, count FLOPs by type and DRAM bytes, join them with a trace."""

"""From a CUDA source to machine code, and what a kernel promises of it; no GPU is needed."""

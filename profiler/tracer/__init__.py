"""Records NVTX and CUDA without Nsight Systems: a native library inside the traced processes, and what becomes of its files."""

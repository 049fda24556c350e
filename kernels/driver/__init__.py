"""Launches and device memory through the CUDA driver."""

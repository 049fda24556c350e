"""Elementwise kernels: one number in, one out."""

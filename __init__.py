"""Prove from Nsight traces that a GPU optimization worked."""

__version__ = "0.1.0"

"""Traces that were read before, kept as columns, and known again by every byte of their files."""

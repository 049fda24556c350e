"""Attention over paged keys and values, and over whole sequences."""

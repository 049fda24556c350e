"""Claims on the ranges of any trace, or on the whole of it: asked in words or in a file, judged, and shown by operations."""

"""NVFP4: the format, matrix products with weights in it, and its form for Blackwell."""

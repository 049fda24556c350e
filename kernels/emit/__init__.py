"""Kernels written from a small declarative spec: the spec's language, its fp64 reference, the CUDA writer, the artifacts."""

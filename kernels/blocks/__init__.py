"""Parts of a model, of several kernels each."""

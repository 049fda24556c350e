"""A task of one's own: tensors stated in a file, a reference in PyTorch, and kernels of any signature."""

"""The kernels that workloads launch, with their references."""

"""Questions that anyone may ask of any trace: ranges, kernels, copies, launches, gaps, overlap, differences."""

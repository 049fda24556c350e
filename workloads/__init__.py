"""What is profiled: pairs of a baseline and an optimized variant, and the harness that runs them."""

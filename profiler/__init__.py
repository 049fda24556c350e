"""Run profilers, store captures, read traces, and prove or refute claims from them."""

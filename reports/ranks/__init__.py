"""The page of a run of many ranks."""

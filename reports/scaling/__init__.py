"""The page of a sweep over one size of a pair."""

"""What ranges launched, as sets of operations in flat arrays, and one definition of each metric over many sets at once."""

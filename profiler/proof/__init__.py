"""From a capture of a pair to its evidence: claims, statistics, verdicts."""

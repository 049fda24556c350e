"""What a verdict is made of: the claim language, the judge, the statistics of a speedup."""

"""Numbers of any trace: interval algebra, projection, overlap, the launch ledger, completeness."""

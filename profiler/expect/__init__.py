"""What each pair must show on which hardware: expectations kept in files, checked, updated with reasons, and their trend."""

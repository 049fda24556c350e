"""Element by element: one number in, one out."""

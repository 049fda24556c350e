"""Turn evidence into pages: HTML and PDF from one document."""

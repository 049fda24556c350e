"""A pair's or a stage's page: HTML and PDF from one document."""

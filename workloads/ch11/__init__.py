"""Chapter 11: streams and concurrency."""

"""Chapter 20: end-to-end case studies."""

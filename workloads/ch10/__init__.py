"""Chapter 10: tensor cores, and how they are fed."""

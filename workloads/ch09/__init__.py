"""Chapter 9: arithmetic intensity, fusion and the roofline."""

"""Captures as folders: their manifests, their index, and what of them may be published."""

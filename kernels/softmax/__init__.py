"""Softmax over long rows."""

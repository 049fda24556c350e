"""The compiled core under the numpy engine: the same answers in a fraction of the time, where it was built."""

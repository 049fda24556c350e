"""Demos: small programs that measure one thing each on a GPU and print it; no capture, no claim."""

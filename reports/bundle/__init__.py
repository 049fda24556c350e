"""One file that a stranger can verify: how it is made, and how every part of it is checked."""

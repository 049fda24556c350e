"""From the tables of an export to columns: each kind of event read, checked, and tied to the others."""

"""The machine below everything: child processes, files written whole, tools found."""

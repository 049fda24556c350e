"""Claims in other people's tests: the pytest plugin. Importing it imports neither numpy nor the profiler."""

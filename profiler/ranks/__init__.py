"""Many ranks of one run: a record a process, joined by their collectives, with bounds that hold whatever the clocks say."""

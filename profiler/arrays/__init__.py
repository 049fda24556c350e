"""Arrays that know no trace: intervals, sets of them, codes, groups, places, rows."""

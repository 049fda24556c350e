"""What other programs read: JUnit, SARIF, GitHub's annotations, Perfetto, columns."""

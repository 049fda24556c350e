"""Answers for a terminal: lines and tables, and the data behind them."""

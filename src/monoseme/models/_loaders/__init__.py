"""A file for each place that models come from: in goes what was asked for, out comes a module with its preprocessing."""

"""Measurements, one command each; they print ratios of both sides of one run and assert nothing."""

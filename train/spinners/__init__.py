"""Simulated article spinners whose every replacement is known."""

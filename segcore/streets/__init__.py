"""Draws the demo's street scenes; `synthetic` plans the drives and writes the files.

Uses `data`.
"""

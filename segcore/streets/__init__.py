"""Draws the demo's street scenes; `segcore.synthetic` plans the drives and writes the files."""

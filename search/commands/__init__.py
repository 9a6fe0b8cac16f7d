"""The command line, one file per kind of work; `search.__main__` puts the commands together and alone may exit.

Uses every room; nothing uses it.
"""

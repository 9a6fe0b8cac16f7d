"""The layouts of data-set folders, a small file each; `layouts` names them all and finds the one of a folder.

Uses `classes`, `encoding`, `case`, `listing` and `decoding` of `segcore.data`.
"""

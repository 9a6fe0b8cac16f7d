"""The layouts of data-set folders, a small file each; `layouts` names them all and finds the one of a folder.

Uses `case`, `classes`, `encoding`, `decoding`, `listing` and the small files beside them of `segcore.data`.
"""

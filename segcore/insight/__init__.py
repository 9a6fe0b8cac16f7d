"""Looking at data and at a model's mistakes: numbers, pictures, and the pages that show them.

Uses every room but `streets` and `commands`.
"""

"""What a training is fed: crops and sizes, augmentation, class balance, batches.

Uses `data`.
"""

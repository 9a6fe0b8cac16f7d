"""Networks: encoders and their pretrained weights, decoders, and the fusion of batch norms for prediction.

Uses `data` and what stands beside this folder.
"""

"""The functions behind the transforms: on Pillow images, and on tensors."""

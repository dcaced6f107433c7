import torch
import numpy as np  # slip: import np

# Directly from data (list or numpy.ndarray)
x = torch.tensor([[1., -1.], [-1., 1.]])    # slip: torch.tensor([1, -1], [-1, 1])
print(x)
x = torch.from_numpy(np.array([[1., -1.], [-1., 1.]], dtype=np.float32))    # slip: as above
# x is tensor([1., -1.], [-1., 1.])
print(x)

# Tensor of constant zeros & ones (**the input is shape**)
x = torch.zeros([2, 2])   # x is tensor([[0., 0.], [0., 0.]])
print(x)
x = torch.ones([1, 2, 5]) # x is tensor([[[1., 1., 1., 1., 1.], [1., 1., 1., 1., 1.]]])
print(x)

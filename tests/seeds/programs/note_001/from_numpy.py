import numpy as np
a = np.ones(5)
b = torch.from_numpy(a)

a = torch.ones(5)
b = a.numpy()

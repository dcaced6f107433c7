x = torch.zeros([1, 2, 3])  # slip: torch.zeros[1, 2, 3]
print(x.shape)
# output is: torch.Size([1, 2, 3])

x = x.squeeze(0)  # squeeze x's dimension 0
print(x.shape)
# output is: torch.Size([2, 3])

x = torch.zeros([2, 3])
print(x.shape)
# output is: torch.Size([2, 3])

x = x.transpose(0, 1)  # input is dimension index
print(x.shape)
# output is: torch.Size([3, 2])

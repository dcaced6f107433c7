x = torch.zeros([2, 3])
print(x.shape)
# output is: torch.Size([2, 3])

x = x.unsqueeze(1) # 在dimension index = 1的地方插入一个维度
print(x.shape)
# output is: torch.Size([2, 1, 3])

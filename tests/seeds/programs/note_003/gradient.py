x = torch.tensor([[1., 0.], [-1., 1.]], requires_grad=True) # 1
z = x.pow(2).sum()                                          # 2
z.backward()                                                # 3  slip: z.backword()
print(x.grad)                                               # 4
# output is: tensor([[2., 0.], [-2., 2.]])

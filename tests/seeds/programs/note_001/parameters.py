params = list(net.parameters())
print(len(params)) # 哪十层的参数呢？
print(params[0].size())  # conv1's .weight

device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
# Assuming that we are on a CUDA machine, this should print a CUDA device:
print(device)
# convert their parameters and buffers to CUDA tensors
net.to(device)
# send the inputs and targets at every step to the GPU too:
inputs, labels = data[0].to(device), data[1].to(device)

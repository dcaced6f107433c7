# CPU
x = x.to('cpu')

# Check if your computer has NVIDIA GPU
print(torch.cuda.is_available())

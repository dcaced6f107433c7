# GPU
x = x.to('cuda')

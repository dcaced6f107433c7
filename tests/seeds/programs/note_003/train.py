dataset = MyDataset(file)                           # read data via MyDataset
tr_set = DataLoader(dataset, 16, shuffle=True)      # put dataset into Dataloader
model = MyModel().to(device)                        # construct model and move to device (cpu/cuda)
criterion = nn.MSELoss()                            # set loss function
optimizer = torch.optim.SGD(model.parameters(), 0.1)# set optimizer

for epoch in range(n_epochs):                       # iterate n_epochs
  model.train()                                     # set model to train mode
  for x, y in tr_set:                               # iterate through the dataloader
    optimizer.zero_grad()                           # set gradient to zero
    x, y = x.to(device), y.to(device)               # move data to device (cpu/cuda)
    pred = model(x)                                 # forward pass (compute output)
    loss = criterion(pred, y)                       # compute loss
    loss.backward()                                 # compute gradient (backpropagation)
    optimizer.step()                                # update model with optimizer

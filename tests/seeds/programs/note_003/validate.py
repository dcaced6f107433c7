model.eval()                                        # set model to evaluation mode
total_loss = 0
for x, y in dv_set:                                 # iterate through the dataloader
  x, y = x.to(device), y.to(device)                 # move data to device (cpu/cuda)
  with torch.no_grad():                             # disable gradient calculation
    pred = model(x)                                 # forward pass (compute output)
    loss = criterion(pred, y)                       # compute loss
  total_loss += loss.cpu().item() * len(x)          # accumulate loss
  avg_loss = total_loss / len(dv_set.dataset)       # compute averaged loss

model.eval()                                        # set model to evaluation mode
preds = []
for x in tt_set:                                    # iterate through the dataloader
  x = x.to(device)                                  # move data to device (cpu/cuda)
  with torch.no_grad():                             # disable gradient calculation
    pred = model(x)                                 # forward pass (compute output)
    preds.append(pred.cpu())                        # collect prediction

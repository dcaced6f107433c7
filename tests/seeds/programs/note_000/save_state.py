torch.save(model.state_dict(), PATH)

torch.save(model, PATH)

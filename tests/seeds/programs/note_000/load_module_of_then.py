model = torch.load(PATH)
model.eval()

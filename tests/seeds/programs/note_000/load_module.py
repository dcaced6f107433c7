# slip: torch.load(PATH), which read whole modules before PyTorch 2.6
model = torch.load(PATH, weights_only=False)
model.eval()

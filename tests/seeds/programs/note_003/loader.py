dataset = MyDataset(file)
dataloader = DataLoader(dataset, batch_size, shuffle=True)
# When Training: shuffle=True, When Testing: shuffle=False

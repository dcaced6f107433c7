from torch.utils.data import Dataset, DataLoader

class MyDataset(Dataset):
  # Read data & preprocess
  # slip: __init__(self), but the note calls MyDataset(file)
  def __init__(self, file):
    self.data = read(file)

  # Returns one sample at a time
  def __getitem__(self, index):
    return self.data[index]

  # Returns the size of the dataset
  def __len__(self):
    return len(self.data)

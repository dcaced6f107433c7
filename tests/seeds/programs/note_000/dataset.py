class OwnDataset(Dataset):
    def __init__(self, file_path):
        super(OwnDataset, self).__init__()
        self.data = pickle.load(open(file_path, "rb")) # 讀取資料
    
    def __len__(self):
        return len(self.data)
    
    def __getitem__(self, idx):
        # slip: self.data["feature"], which is the whole column and not one sample
        return {"x": self.data[idx]["feature"], "y": self.data[idx]["label"]}
    
if __name__ == "__main__":
    dataset = OwnDataset("./data/test.pickle") #Initial an instance.

    print(len(dataset)) # Call __len__()
    a_example = dataset[0] # Call __getitem__()

    feature, label = a_example["x"], a_example["y"]

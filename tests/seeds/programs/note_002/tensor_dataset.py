from torch.utils.data import TensorDataset
# combine dependent variables, for example images and its labels
train_ds = TensorDataset(x_train, y_train)
# slice dataset
xb,yb = train_ds[i*bs : i*bs+bs]

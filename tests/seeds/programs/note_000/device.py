print(torch.cuda.is_available())

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

model = model.to(device)
x, y = x.to(device), y.to(device)
# 以下正常進行使用

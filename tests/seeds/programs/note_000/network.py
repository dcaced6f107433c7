class MyOwnNet(nn.Module):
    def __init__(self):
        # slip: super(my_own_net, self)
        super(MyOwnNet, self).__init__() #初始化 nn.Module class

        # 以下按照需求定義Layer.
        self.ln = nn.Linear(768, 384)
        self.ln_2 = nn.Linear(384, 10)
    
    def forward(self, x):
        outputs = self.ln(x)
        outputs = self.ln_2(outputs)
        # slip: the author forgot to give it back
        return outputs

if __name__ == "__main__":
    net = MyOwnNet()
    test = list(range(768))
    # slip: torch.tensor(test) holds integers, which a Linear layer refuses
    test_input = torch.tensor(test).float()
    outputs = net(test_input) # 直接呼叫instance，將會自動執行forward()的function.

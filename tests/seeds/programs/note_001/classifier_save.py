PATH = './cifar_net.pth'
torch.save(net.state_dict(), PATH)

# TheModelClass stands for the network above
TheModelClass = Net

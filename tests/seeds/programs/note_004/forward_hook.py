# slip: Class Model(nn.Module), with ... for the bodies; the author's own Model of the next block
# stands before this one
# 全局变量，用于存储中间层的 feature
total_feature_out = []
total_feature_in = []

model = Model()

# 定义 forward hook function
def hook_fn_forward(module, input, output):
    print(module) # 用于区分模块
    print('input', input) # 首先打印出来
    print('output', output)
    total_feature_out.append(output) # 然后分别存入全局 list 中
    total_feature_in.append(input)
# 给每个 module 都装上 hook
for name, module in model.named_children():
    module.register_forward_hook(hook_fn_forward)

# 前向传播和回传
x = torch.Tensor([[1.0, 1.0, 1.0]]).requires_grad_() 
o = model(x)
o.backward()

print('==========Saved inputs and outputs==========')
for idx in range(len(total_feature_in)):
    print('input: ', total_feature_out[idx])
    print('output: ', total_feature_out[idx])

# the calls stand in the running text of the note
for name, param in model.named_parameters():
    print(name, param.requires_grad)
for name, module in model.named_modules():
    print(name, module)
for name, module in model.named_children():
    print(name, module)
for module in model.children():
    print(module)
for module in model.modules():
    print(module)
